"""Two clients that alternate on one core: while one plays, the other is stopped (SIGSTOP), 12 times a second.

The speed of a virtual machine's core may halve from one second to the next because of its neighbours, and no counter
of the machine shows it.  Within a tenth of a second the speed is the same for both clients, so the ratio of their
costs is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median, quantiles
from typing import Any

from benchmarks.engine_meter import MOST_BY_OTHERS, Mark, Meter, Window, between
from benchmarks.engine_responder import Responder

TURN_S = 0.04
_STOP_S = 0.002  # until the client is stopped and all of its requests are answered
_LEAST_TURNS = 5
_TURNS_A_BLOCK = 12  # about a second, so that each block contains what a client does once a second
_NO_LIMIT = "the client was not the limit"


@dataclass(frozen=True, slots=True)
class Turns:
    """The windows of two clients, turn by turn; `others` is the share of their core that other processes used.

    The `others` of each window is 0, because the kernel counts the time of a core too coarsely for one turn.
    """

    windows: tuple[tuple[Window, Window], ...]
    others: float

    @property
    def fault(self) -> str:
        """Why the turns are not usable; "" if they are."""
        if self.others > MOST_BY_OTHERS:
            return "others used the client's core"
        return "" if len(self._good()) >= _LEAST_TURNS else _NO_LIMIT

    @property
    def good(self) -> list[tuple[Window, Window]]:
        """The turns in which both clients saturated the core; all turns if these are too few."""
        good = self._good()
        return good if len(good) >= _LEAST_TURNS else list(self.windows)

    def _good(self) -> list[tuple[Window, Window]]:
        return [pair for pair in self.windows if not any(window.fault for window in pair)]


async def take_turns(pids: tuple[int, int], responder: Responder, core: int, until_ns: int) -> Turns:
    """Let the two processes alternate until time.monotonic_ns() is `until_ns`; then let both run.

    The processes may be running or stopped before.
    """
    meters = [Meter(pid, core, responder) for pid in pids]
    windows: list[tuple[Window, Window]] = []
    began = [meter.mark() for meter in meters]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(_STOP_S)
        while time.monotonic_ns() + 2e9 * (TURN_S + _STOP_S) < until_ns:
            first = await _turn(pids[0], meters[0])
            windows.append((first, await _turn(pids[1], meters[1])))
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return Turns(tuple(windows), _others(began, [meter.mark() for meter in meters]))


async def _turn(pid: int, meter: Meter) -> Window:
    """One turn of a stopped process, measured from stop to stop, each time with all of its requests answered.

    The CPU clock of a process is exact only while it is stopped: of a running process, others see the value at the
    last tick of its core.
    """
    before = meter.mark()
    began_ns = time.monotonic_ns()
    os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(TURN_S)
    os.kill(pid, signal.SIGSTOP)
    played_s = (time.monotonic_ns() - began_ns) / 1e9
    await asyncio.sleep(_STOP_S)
    window = between(before, meter.mark())
    scale = window.seconds / played_s
    return replace(
        window,
        seconds=played_s,
        client_share=window.client_share * scale,
        responder_share=window.responder_share * scale,
        others=0.0,
    )


def _others(before: Sequence[Mark], after: Sequence[Mark]) -> float:
    """The share of the core that processes other than the two clients used."""
    wall_s = (after[0].at_ns - before[0].at_ns) / 1e9
    mine_s = sum(b.client_ns - a.client_ns for a, b in zip(before, after, strict=True)) / 1e9
    return max(0.0, (after[0].core_busy_s - before[0].core_busy_s - mine_s) / wall_s)


def summary(windows: Sequence[Window], fault: str = "", retried: Sequence[str] = ()) -> dict[str, Any]:
    """Medians over a client's turns, without those in which it did not saturate the core."""
    good = [window for window in windows if not window.fault]
    used = good if len(good) >= _LEAST_TURNS else list(windows)
    left_out = [window.fault for window in windows if window.fault] if used is good else []
    return {
        "cpu_us": median(window.cpu_us for window in used),
        "requests_per_s": median(window.requests_per_s for window in used),
        "client_share": median(window.client_share for window in used),
        "responder_share": median(window.responder_share for window in used),
        "cpu_us_min": min(window.cpu_us for window in used),
        "cpu_us_max": max(window.cpu_us for window in used),
        "turns": len(used),
        "discarded": [*retried, *left_out],
        "fault": fault or ("" if used is good else _NO_LIMIT),
    }


def ratio(turns: Turns) -> dict[str, Any]:
    """CPU per request of the second client over the first: the median of the ratios of blocks of turns.

    The ratio of a block is that of total CPU over total requests in it.  Also returned: the quartiles of the ratios of
    single turns, and both costs in each turn, in µs.
    """
    pairs = turns.good
    if len(pairs) < _LEAST_TURNS:
        raise SystemExit("too few turns to compare the clients: use more --seconds")
    blocks = [pairs[at : at + _TURNS_A_BLOCK] for at in range(0, len(pairs), _TURNS_A_BLOCK)]
    whole = [block for block in blocks if len(block) == _TURNS_A_BLOCK] or blocks
    low, _, high = quantiles([second.cpu_us / first.cpu_us for first, second in pairs], n=4)
    return {
        "x_wrk": median(
            _of_all(second) / _of_all(first) for first, second in (zip(*one, strict=True) for one in whole)
        ),
        "x_wrk_low": low,
        "x_wrk_high": high,
        "turns_cpu_us": [[round(window.cpu_us, 3) for window in pair] for pair in pairs],
    }


def _of_all(windows: Sequence[Window]) -> float:
    return sum(window.cpu_us * window.requests for window in windows) / sum(window.requests for window in windows)
