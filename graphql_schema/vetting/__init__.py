"""What clients were vetted by, as the operator sees it."""
