"""The rules. Standard library and stdnum only."""
