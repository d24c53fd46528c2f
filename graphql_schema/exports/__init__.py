"""Exports as files."""
