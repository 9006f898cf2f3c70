"""Brings the journal's transitions to destinations: each of them, in order for each user."""
