"""The libraries of the extra `fleet`: without them, one machine is enough for everything but other machines."""

from __future__ import annotations

from importlib.util import find_spec

from loadgen.model.errors import PlanError

_LIBRARIES = ("distributed", "asyncssh", "cryptography")


def require_fleet(what: str) -> None:
    """Raise PlanError unless they are installed; `what` wants them."""
    if any(find_spec(name) is None for name in _LIBRARIES):
        raise PlanError(f"{what} needs pip install 'loadgen-verdict[fleet]'")
