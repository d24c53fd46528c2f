"""Registrations as clients see them."""
