"""Reporting statuses and correcting registrations."""
