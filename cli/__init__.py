"""The command `usher`, one module a verb."""
