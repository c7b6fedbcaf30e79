"""Calls to machines and their answers, bounded in time.  Whatever goes wrong there becomes a LoadgenError here."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distributed import Client

from loadgen.agent.messages import clean, read_refusal
from loadgen.model.errors import FleetError, LoadgenError

_DASKS_WORDS = re.compile(r"^in <.*?>: |\b\w+Error: |\[Errno -?\d+\] ")
"""What Dask puts before the words of the kernel: its own name of the connection, and the type of the error."""


class UnansweredError(FleetError):
    """The machine was not reached, or the call failed there without a refusal."""


class UnreadableError(FleetError):
    """The machine sent something else than was asked for."""

    def __init__(self, why: ValueError) -> None:
        super().__init__(f"it sent something unreadable: {why}")


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Turn a ValueError inside into an UnreadableError."""
    try:
        yield
    except ValueError as error:
        raise UnreadableError(error) from error


async def ask(client: Client, address: str, call: Callable[..., Any], *arguments: object, timeout_s: float) -> Any:
    """Return the answer of `call(*arguments)` on the Dask worker at `address`: plain data that is not checked yet.

    Raises UnansweredError if there is no answer in time, UnreadableError if it is malformed, and the LoadgenError that
    a refusal contains.
    """
    try:
        async with asyncio.timeout(timeout_s):
            answers = await client.run(call, *arguments, workers=[address], on_error="return")
    except TimeoutError:
        raise UnansweredError(f"it did not answer within {timeout_s:g} s") from None
    except Exception as error:  # reading an answer may raise anything: Dask unpickles it
        raise UnansweredError(say(error)) from error
    return _checked(answers.get(address))


class Asker:
    """Asks the Dask worker at `address`, until it is cut off."""

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._address = address
        self._cut: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self, call: Callable[..., Any], *arguments: object, timeout_s: float) -> Any:
        """Do as :func:`ask`; but raise UnansweredError as soon as the worker is cut off."""
        asked = asyncio.ensure_future(ask(self._client, self._address, call, *arguments, timeout_s=timeout_s))
        try:
            await asyncio.wait((asked, self._cut), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise UnansweredError(self._cut.result())
            return asked.result()
        finally:
            asked.cancel()

    async def anyway(self, call: Callable[..., Any], *arguments: object, timeout_s: float) -> Any:
        """Do as :func:`ask`, also after the worker was cut off."""
        return await ask(self._client, self._address, call, *arguments, timeout_s=timeout_s)

    def cut(self, why: str) -> None:
        """End present and later waits for answers of the worker; `why` is the reason."""
        self._cut.set_result(why)


async def ask_group(
    client: Client, addresses: Sequence[str], call: Callable[..., Any], *arguments: object, timeout_s: float
) -> dict[str, Any]:
    """Ask several workers at once, at a third of the cost.  Returns by address the answer, or the LoadgenError instead.

    All answers arrive with the last one; if one worker does not answer in time, there are none.
    """
    answers: dict[str, Any] = {}
    with contextlib.suppress(Exception):  # TimeoutError above all; and as in `ask`
        async with asyncio.timeout(timeout_s):
            answers = await client.run(call, *arguments, workers=list(addresses), on_error="return")
    for address, answer in answers.items():
        try:
            answers[address] = _checked(answer)
        except LoadgenError as error:
            answers[address] = error
    return answers


def _checked(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise UnansweredError(say(answer)) from answer
    with reading():
        refusal = read_refusal(answer)
    if refusal is not None:
        raise refusal
    return answer


async def tell(
    client: Client, addresses: Sequence[str], call: Callable[..., Any], *arguments: object, timeout_s: float
) -> None:
    """Call all of these at once, and wait no longer than `timeout_s`.  Workers that do not answer are ignored."""
    with contextlib.suppress(Exception):  # TimeoutError above all; and as in `ask`
        async with asyncio.timeout(timeout_s):
            await client.run(call, *arguments, workers=list(addresses), on_error="return")


def say(error: BaseException) -> str:
    """Return what went wrong in a call, in one line."""
    if isinstance(error, LoadgenError):
        return error.message
    if isinstance(error, ImportError):
        return f"loadgen[fleet] is not installed there in the same version: {clean(str(error))}"
    if isinstance(error, OSError):
        cause = _DASKS_WORDS.sub("", clean(str(error)))
        return f"it cannot be reached: {cause or type(error).__name__}"
    return clean(f"{type(error).__name__}: {error}")
