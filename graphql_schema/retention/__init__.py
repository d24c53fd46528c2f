"""Notifications for receivers that keep no connection."""
