"""The libraries of the extra `fleet`, which are needed for load machines other than this one."""

from __future__ import annotations

from importlib.util import find_spec

from loadgen.model.errors import PlanError

_LIBRARIES = ("distributed", "asyncssh", "cryptography")


def require_fleet(what: str) -> None:
    """Raise PlanError unless the libraries of the extra are installed; `what` names the feature that needs them."""
    if any(find_spec(name) is None for name in _LIBRARIES):
        raise PlanError(
            f"{what} needs the extra fleet of loadgen, which is not installed",
            hint="install it from a copy of the project: pip install '.[fleet]'",
        )
