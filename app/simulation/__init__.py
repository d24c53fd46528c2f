"""Traffic as it really is, played against a hub through its public API alone."""
