"""What the operator sees of the delivery."""
