"""The answers of an agent to calls: plain data, or a refusal that names the cause.

A refusal is {"failed": {"whose", "message", "hint"}}; loadgen.agent.messages.read_refusal reads it.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec

from loadgen.model.errors import LoadgenError, PlanError, TargetError

Answer = dict[str, Any]
_P = ParamSpec("_P")


def answering(call: Callable[_P, Awaitable[Answer]]) -> Callable[_P, Awaitable[Answer]]:
    """Make a call that returns a refusal instead of raising a LoadgenError."""

    @functools.wraps(call)
    async def answer(*args: _P.args, **kwargs: _P.kwargs) -> Answer:
        try:
            return await call(*args, **kwargs)
        except LoadgenError as error:
            whose = "target" if isinstance(error, TargetError) else "plan" if isinstance(error, PlanError) else "fleet"
            return {"failed": {"whose": whose, "message": error.message, "hint": error.hint}}

    return answer
