"""TLS between coordinator and agents, with certificates of the run's own authority."""

from __future__ import annotations

import os
import ssl
import weakref
from typing import TYPE_CHECKING, Any

from distributed import Security

from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from loadgen.agent.credentials import Credentials

_ROLES = ("client", "scheduler", "worker")


class _InMemory(Security):
    """Keeps its certificate and key in a file in memory that no other process can open, and that ends with this object.

    OpenSSL reads keys from files only, and Dask would write the key to the disk for a moment.
    """

    def __init__(self, text: str, **options: Any) -> None:
        descriptor = os.memfd_create("loadgen-certificate")
        weakref.finalize(self, os.close, descriptor)
        with open(descriptor, "w", encoding="ascii", closefd=False) as file:
            file.write(text)
        path = f"/proc/self/fd/{descriptor}"
        super().__init__(  # type: ignore[no-untyped-call]
            **options, **{f"tls_{role}_{what}": path for role in _ROLES for what in ("cert", "key")}
        )


def security(credentials: Credentials | None) -> Security:
    """Return Dask's TLS settings: both ends must show a certificate of the same authority.

    None means no encryption, for tests.  Dask's own configuration is ignored, and nothing is written to a disk.  Raises
    PlanError if the credentials cannot be used.
    """
    if credentials is None:
        none = {f"tls_{role}_{what}": None for role in _ROLES for what in ("cert", "key")}
        return Security(require_encryption=False, tls_ca_file=None, **none)  # type: ignore[no-untyped-call]
    made = _InMemory(
        credentials.key_pem + credentials.cert_pem,
        require_encryption=True,
        tls_ca_file=credentials.ca_pem,
        tls_ciphers=None,
        tls_min_version=ssl.TLSVersion.TLSv1_2,
        tls_max_version=None,
    )
    try:
        made.get_listen_args("scheduler")  # type: ignore[no-untyped-call]
    except (ssl.SSLError, OSError) as error:
        raise PlanError(f"the certificate cannot be used: {error}") from error
    return made
