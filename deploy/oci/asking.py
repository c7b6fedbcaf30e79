"""Questions to a container engine, which may hang for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from deploy.shield import to_its_end
from loadgen.host.daemon import in_daemon

T = TypeVar("T")


async def asked(what: str, work: Callable[[], T]) -> T:
    """The result of `work` of an engine; `what` follows "waiting until the container engine"."""
    return await to_its_end(in_daemon("engine", work), f"the container engine {what}")
