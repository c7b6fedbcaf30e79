"""Reads the certificates and the key that a plan names; their contents go to the load machines, never into a record."""

from __future__ import annotations

from pathlib import Path

from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_proxy import Proxy
from loadgen.model.tls import TlsSettings


def tls_settings(plan: HttpPlan) -> TlsSettings:
    """The TLS settings of the plan.  Raises PlanError when a file cannot be read."""
    return TlsSettings(
        authorities=_text("--cacert", plan.tls_ca),
        certificate=_text("--cert", plan.tls_cert),
        key=_text("--key", plan.tls_key),
        name=plan.tls_name,
        resume=plan.tls_resume,
        tunnel=bool(plan.proxy),
        proxy_authorization=Proxy.parse(plan.proxy).authorization if plan.proxy else "",
    )


def _text(option: str, file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise PlanError(f"{option}: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise PlanError(
            f"{option}: {file} is not a PEM file", hint="convert it with openssl x509 or openssl pkey"
        ) from None
