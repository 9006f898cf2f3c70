"""The evaluation core: compiled plan, windows, memberships. No clock, no I/O, no randomness."""
