"""Where the server listens, as `serving` of the YAML says or as it is by itself.

What is named in the YAML must be free.  By itself the server takes its usual address if that is
free, and the job does without if not: several jobs on one machine need no server each.

Where the parts of a job are several processes of a machine, the first of them gets the address for
metrics; the others say so.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from audience_dsl.instants import format_instant
from connectors.wall_clock import wall_clock
from dataflows.refusal import JobRefused
from project.folder import LoadedProject
from serving.validity import valid_until

_USUAL = {"listen": "127.0.0.1:8080", "admin": "127.0.0.1:8081"}
_BACKLOG = 2048

# Milliseconds for which a client's machine may not acknowledge what it was sent.
_GONE_AFTER = 60_000

# Bytes that the system holds beside those on their way: then how far a reader has come is seen.
_UNSENT = 64 << 10


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of PEM files."""

    certificate: str
    private_key: str | None

    def context(self) -> ssl.SSLContext:
        """As servers use it.

        Raises:
            OSError, ValueError: the files cannot be used.
        """
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.load_into(made)
        return made

    @staticmethod
    def flaw(error: OSError | ValueError) -> object:
        """Why the files cannot be used."""
        return getattr(error, "reason", None) or getattr(error, "strerror", None) or error

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let a context have it as the files are now; raises as `context` does."""
        # Without that, OpenSSL would ask at the terminal.
        context.load_cert_chain(self.certificate, self.private_key, _refuse_passphrase)

    def valid_until(self) -> int:
        """An instant in microseconds; raises as `context` does."""
        return valid_until(Path(self.certificate).read_text(encoding="latin-1"))

    def check(self) -> None:
        """Raises as `context` does: the files do not belong together, or it has expired."""
        self.context()
        if (until := self.valid_until()) <= wall_clock():
            raise ValueError(f"it has expired: it was valid until {format_instant(until)}")


@dataclass(frozen=True, slots=True)
class Doors:
    """Sockets that listen already; `None` where it is not to, or the address is `taken`."""

    public: socket.socket | None
    admin: socket.socket | None
    certificate: Certificate | None
    is_behind_proxy: bool
    taken: tuple[str, ...] = ()  # what there is to say of that

    @property
    def public_url(self) -> str:
        scheme = "http" if self.certificate is None else "https"
        return "" if self.public is None else f"{scheme}://{_shown(self.public)}"

    @property
    def admin_url(self) -> str:
        return "" if self.admin is None else f"http://{_shown(self.admin)}"

    @property
    def sentences(self) -> list[str]:
        """What there is to say of them."""
        return [
            *self.taken,
            *([f"HTTP server at {self.public_url}"] if self.public else []),
            *([f"metrics at {self.admin_url}/metrics"] if self.admin else []),
        ]

    def close(self) -> None:
        for door in (self.public, self.admin):
            if door is not None:
                door.close()


def open_doors(
    loaded: LoadedProject, *, must_listen: bool, for_clients: bool = True, is_shared: bool = False
) -> Doors:
    """Listen where the project wants it.

    Args:
        must_listen: Whether the usual addresses must be free as well.  That for clients must be
            in any case if there is something to collect.
        for_clients: Whether clients are answered here; if not, there are metrics at most, where
            the project names their address.
        is_shared: Whether other processes of the project may have that address.

    Raises:
        JobRefused: an address is taken or impossible, or the certificate is of no use.
    """
    taken: list[str] = []
    certificate = public = admin = None
    if for_clients:
        certificate = _certificate(loaded)
        public = _public(loaded, certificate, must_listen=must_listen)
        if public is None:
            sentence = "is taken, so this job has no HTTP server (serving: listen names one)"
            taken.append(f"{_USUAL['listen']} {sentence}")
    named = loaded.project.serving.get("admin")
    if for_clients or named is not None:
        address = str(named or _USUAL["admin"])
        is_needed = not is_shared and (named is not None or must_listen)
        try:
            admin = _listen("admin", address, is_needed=is_needed)
        except JobRefused:
            if public is not None:
                public.close()
            raise
        if admin is None:
            taken.append(f"{address} is taken, so this process has no metrics ({_advice(named)})")
    return Doors(public, admin, certificate, is_behind_proxy(loaded), tuple(taken))


def _public(
    loaded: LoadedProject, certificate: Certificate | None, *, must_listen: bool
) -> socket.socket | None:
    options = loaded.project.serving
    is_named = "listen" in options
    named = str(options.get("listen", _USUAL["listen"]))
    if certificate is None and not is_behind_proxy(loaded) and not _is_loopback(named):
        raise JobRefused(
            f"serving: other machines reach {named}, and keys would travel in the clear; name a "
            "certificate and its private_key, or say behind_proxy: true if a proxy speaks TLS"
        )
    collects = any(one.type == "http" for one in loaded.project.sources.values())
    return _listen("listen", named, is_needed=is_named or must_listen or collects)


def is_behind_proxy(loaded: LoadedProject) -> bool:
    """Whether a proxy speaks TLS with clients, and not we."""
    return bool(loaded.project.serving.get("behind_proxy"))


def _advice(named: object) -> str:
    if named is None:
        return "serving: admin names an address"
    return f"serving: admin: ${{ADMIN:-{named}}} lets each process have its own"


def _listen(field: str, named: str, *, is_needed: bool) -> socket.socket | None:
    host, port = _parts(named)
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        door = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        if is_taken and not is_needed:
            return None
        reason = "another process has it" if is_taken else error.strerror or str(error)
        raise JobRefused(
            f"serving: {field}: {named} cannot be listened at: {reason}; name another address"
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # whoever comes in by it has it, too
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER)
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return door


def _certificate(loaded: LoadedProject) -> Certificate | None:
    options = loaded.project.serving
    paths = [
        None if field not in options else str(loaded.root / Path(str(options[field])))
        for field in ("certificate", "private_key")
    ]
    certificate, private_key = paths
    if certificate is None:
        if private_key is None:
            return None
        raise JobRefused("serving: a private_key belongs to a certificate; name both")
    found = Certificate(certificate, private_key)
    try:
        found.check()
    except (OSError, ValueError) as error:
        raise JobRefused(
            f"serving: the certificate {certificate} and its private_key cannot be used: "
            f"{found.flaw(error)}; both are PEM files, the key without a passphrase"
        ) from error
    return found


def _refuse_passphrase() -> str:
    raise ValueError("the private key has a passphrase")


def _parts(named: str) -> tuple[str, int]:
    host, _, port = named.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _is_loopback(named: str) -> bool:
    host, _ = _parts(named)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(door: socket.socket) -> str:
    host, port = door.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
