"""The numbered stream of changes of a receiver."""
