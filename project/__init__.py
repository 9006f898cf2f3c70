"""A project folder: its definitions read, and its systems tried."""
