"""The membership store: who is a member of what, and the journal of how that came about."""
