"""Who delivers, and who is silent."""
