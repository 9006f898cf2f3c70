"""What PostgreSQL's own library is told about encryption, by whoever connects with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def encryption(tls: object, ca: Path | None, default: str = "prefer") -> dict[str, Any]:
    """Its parameters for the options `tls` and `ca`.

    Who names an authority wants it to be asked.  Without one, the library would look for a file in
    somebody's home, unless it is told that the system's are meant.
    """
    mode = str(tls or (default if ca is None else "verify-full"))
    own = "system" if mode == "verify-full" else None
    return {"sslmode": mode, "sslrootcert": own if ca is None else str(ca)}
