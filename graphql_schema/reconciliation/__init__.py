"""Comparing what a sender holds with what the hub holds."""
