"""Every SQL statement. Rows never leave this floor."""
