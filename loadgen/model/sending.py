"""What plans of every kind say of the sending side: which engine, its time-stamps, the addresses to connect from."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from loadgen.model.errors import PlanError

ENGINES = ("auto", "python", "compiled")
TIMESTAMPS = ("auto", "kernel", "loop")


def check_sending(engine: str, timestamps: str, sources: Sequence[str], *, paced_reads: bool = False) -> None:
    """Raises PlanError for what no engine on any machine can do, and for what is no word of ours."""
    for name, value, values in (("engine", engine, ENGINES), ("timestamps", timestamps, TIMESTAMPS)):
        if value not in values:
            raise PlanError(f"{name} must be one of {', '.join(values)}, got {value!r}")
    for source in sources:
        try:
            ipaddress.ip_address(source)
        except ValueError:
            raise PlanError(f"the source {source!r} is not an IP address") from None
    if timestamps != "kernel":
        return
    if engine == "python":
        raise PlanError("only the compiled engine reads the kernel's time-stamps", hint="use --timestamps auto")
    if paced_reads:  # they leave a reply in the kernel until its time has come
        raise PlanError(
            "with paced reads the kernel's time-stamps say nothing of a reply",
            hint="use --timestamps auto, or --no-paced-reads",
        )
