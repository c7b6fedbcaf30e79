"""TLS between coordinator and agents, by the run's own authority."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from distributed import Security

from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from coordinator.fleet.certificates import Credentials

_ROLES = ("client", "scheduler", "worker")


def security(credentials: Credentials | None) -> Security:
    """Both ends show a certificate of the same authority, or do not talk; None is for tests, without encryption.

    Nothing is left to Dask's configuration.  Raises PlanError when the credentials can't be used.
    """
    ca, certificate, key = None, None, None
    if credentials is not None:
        ca, certificate, key = credentials.ca_pem, credentials.cert_pem, credentials.key_pem
    made = Security(  # type: ignore[no-untyped-call]
        require_encryption=credentials is not None,
        tls_ca_file=ca,
        tls_ciphers=None,
        tls_min_version=ssl.TLSVersion.TLSv1_2,
        tls_max_version=None,
        **{f"tls_{role}_cert": certificate for role in _ROLES},
        **{f"tls_{role}_key": key for role in _ROLES},
    )
    try:
        made.get_listen_args("scheduler")  # type: ignore[no-untyped-call]
    except (ssl.SSLError, OSError) as error:
        raise PlanError(f"the certificate cannot be used: {error}") from error
    return made
