"""Checks SSL_CERT_FILE and SSL_CERT_DIR.  OpenSSL ignores a wrong one, and then distrusts every server."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from loadgen.host.paths import is_directory
from loadgen.model.errors import PlanError


def check_trust_store(environment: Mapping[str, str]) -> None:
    """Raise PlanError unless these variables, where they are set, name certificates that can be read."""
    file, folder = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    if file is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        except ssl.SSLError:
            raise PlanError(
                f"SSL_CERT_FILE={file}: the file holds no certificate in PEM form", hint="name a file in PEM form"
            ) from None
        except OSError as error:
            raise PlanError(
                f"SSL_CERT_FILE={file}: {_why(error)}",
                hint="name the file of the authorities that are trusted, or unset SSL_CERT_FILE",
            ) from None
    for one in folder.split(":") if folder is not None else ():
        if not is_directory(Path(one)):
            raise PlanError(
                f"SSL_CERT_DIR={folder}: {one!r} is not a directory",
                hint="name a directory of trusted authorities, or unset SSL_CERT_DIR",
            )


def _why(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
