"""Measurements. They assert nothing about time."""
