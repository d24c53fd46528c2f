"""Following students."""
