"""Amazon Redshift, which speaks PostgreSQL's protocol, but for COPY and a few settings.

Amazon's own Python client has no Arrow; ADBC reads Redshift's rows in the same binary protocol.
"""

from __future__ import annotations

from types import MappingProxyType

from connectors.warehouses.postgres import Postgres


class Redshift(Postgres):
    """See `connectors.warehouses.remote.Remote`."""

    system = "Redshift"
    extra = "redshift"
    default_port = 5439
    tls = "require"
    options = MappingProxyType({"adbc.postgresql.use_copy": "false"})

    def session(self, milliseconds: int) -> str:
        """Redshift takes only few settings at the start; reading alone is asked for by its role."""
        return f"-c statement_timeout={milliseconds}"
