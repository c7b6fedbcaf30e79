"""The URL of `--otlp`."""

from __future__ import annotations

import importlib.util
from urllib.parse import urlsplit, urlunsplit

from loadgen.model.errors import PlanError
from loadgen.model.secrets import mask_url

_PATH = "/v1/metrics"
_HINT = "write it like http://127.0.0.1:4318"


def parse_endpoint(text: str) -> str:
    """The URL to which metrics are sent: `text` with the path of OTLP, if it has not got it.  Raises PlanError."""
    try:
        parts = urlsplit(text)
        known = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise PlanError(f"{mask_url(text)!r} is not the URL of a receiver of OpenTelemetry", hint=_HINT)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(_PATH) else path + _PATH))


def check_installed() -> None:
    """Raises PlanError when the extra `otlp` is not installed."""
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:  # not even the packages above it
        found = None
    if found is None:
        raise PlanError(
            "--otlp needs OpenTelemetry, which is not installed",
            hint="install loadgen with its extra otlp: in a copy of the project, pip install '.[otlp]'",
        )
