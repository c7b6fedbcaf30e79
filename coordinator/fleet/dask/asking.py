"""One call to one machine and its answer, bounded in time; whatever goes wrong there is an error of ours here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from distributed import Client

from coordinator.fleet.messages import clean, read_refusal
from loadgen.model.errors import FleetError, LoadgenError


class UnansweredError(FleetError):
    """The machine was not reached, or the call failed there in a way that is not a refusal."""


async def ask(client: Client, address: str, call: Callable[..., Any], *arguments: object, timeout_s: float) -> Any:
    """The answer of `call(*arguments)` on the Dask worker at `address`: plain data that is not checked yet.

    Raises UnansweredError when there is none in time, the LoadgenError that it is when it is a refusal, and
    ValueError when it is not an answer at all.
    """
    try:
        async with asyncio.timeout(timeout_s):
            answers = await client.run(call, *arguments, workers=[address], on_error="return")
    except TimeoutError:
        raise UnansweredError(f"it did not answer within {timeout_s:g} s") from None
    except Exception as error:  # reading an answer may raise anything: Dask unpickles it
        raise UnansweredError(say(error)) from error
    answer = answers.get(address)
    if isinstance(answer, BaseException):
        raise UnansweredError(say(answer)) from answer
    refusal = read_refusal(answer)
    if refusal is not None:
        raise refusal
    return answer


def say(error: BaseException) -> str:
    """What went wrong in a call, in one line."""
    if isinstance(error, LoadgenError):
        return error.message
    if isinstance(error, ImportError):
        return f"loadgen with its extra 'fleet' is not installed there, or another version: {clean(str(error))}"
    if isinstance(error, OSError):
        return f"it cannot be reached: {clean(str(error)) or type(error).__name__}"
    return clean(f"{type(error).__name__}: {error}")
