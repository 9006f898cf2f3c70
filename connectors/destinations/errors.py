"""What goes wrong with a destination as a whole."""


class DestinationError(OSError):
    """A destination cannot take what is sent to it; the message says which, why, and what to do."""
