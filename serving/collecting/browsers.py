"""What a browser tells without being asked: that it is one, and the cookie that it was given.

Snowplow's collector knows browsers again by a cookie `sp`, whose value is the `network_userid` of
what they send.  Whoever is to stay unknown says so by a header, and is given none.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Final

from serving.safety import Headers

_COOKIE = re.compile(rb"(?:^|;) *sp=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) *(?:;|$)")
_YEAR: Final = 365 * 86_400


def is_browser(headers: Mapping[bytes, bytes]) -> bool:
    """Clients on servers name no page from which they send."""
    return b"origin" in headers or b"referer" in headers


def network_user_of(headers: Mapping[bytes, bytes]) -> str:
    """Who the cookie says a browser is; somebody new without one, nobody if that is asked for."""
    if b"sp-anonymous" in headers or not is_browser(headers):
        return ""
    found = _COOKIE.search(headers.get(b"cookie", b""))
    return found[1].decode() if found else str(uuid.uuid4())


def cookie(network_user: str, scheme: str) -> Headers:
    """The same for another year; pages of other sites send it over TLS only."""
    if not network_user:
        return ()
    where = "SameSite=None; Secure" if scheme == "https" else "SameSite=Lax"
    text = f"sp={network_user}; Max-Age={_YEAR}; Path=/; HttpOnly; {where}"
    return ((b"set-cookie", text.encode()),)
