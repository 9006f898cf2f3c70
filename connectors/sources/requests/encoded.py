"""What clients write in base64, each in its own manner."""

from __future__ import annotations

import base64
import binascii

from connectors.sources.exact import Unreadable

_STANDARD = str.maketrans(" -_", "++/", "\r\n")


def from_base64(text: str) -> bytes:
    """Base64 of either alphabet, padded or not, in lines or with a plus that became a space.

    Raises:
        Unreadable: it is none.
    """
    standard = text.translate(_STANDARD).rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("damaged base64") from None
