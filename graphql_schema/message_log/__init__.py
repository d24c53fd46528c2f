"""What an institution sees of its messages."""
