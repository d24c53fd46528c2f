"""The way of a change to its receivers."""
