"""Statistics on multiple registrations."""
