"""Searches for a capacity: of VMs with spec runs, of a rate with http runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from coordinator.record.find_result import Find, FindStep, Wanted
from coordinator.record.header import Header
from coordinator.record.kinds import KIND_HTTP_FIND, KIND_SPEC_FIND
from loadgen.verdict.capacity import Search, Seen, Trial
from loadgen.verdict.result import Verdict
from tests.support import https, results

SEARCH = Search(start=4, step=1)
_OF = {Seen.HELD: Verdict.CONFORMING, Seen.FAILED: Verdict.NOT_CONFORMING, Seen.UNKNOWN: Verdict.INVALID}


def exactly(capacity: int) -> Callable[[int], Seen]:
    return lambda value: Seen.HELD if value <= capacity else Seen.FAILED


def never_valid(value: int) -> Seen:
    return Seen.UNKNOWN


def step(trial: Trial, wanted: Wanted, verdict: Verdict | None = None) -> FindStep:
    verdict = verdict or _OF[trial.seen]
    known = verdict in (Verdict.CONFORMING, Verdict.NOT_CONFORMING)
    return FindStep(
        value=trial.value,
        record=f"{wanted.value}-{trial.value}",
        verdict=verdict,
        reasons=("VM vm03 has 12 conforming connections, but at least 16 are needed",) if not known else (),
        asked=20.0 * trial.value,
        reached=20.0 * trial.value if known else None,
        p99_ms=81.25 if known else None,
    )


_SIX = exactly(6)


def find(server: Callable[[int], Seen] = _SIX, wanted: Wanted = Wanted.VMS, runs: int = 80) -> Find:
    """A search of at most `runs` runs."""
    trials: list[Trial] = []
    while len(trials) < runs and (value := SEARCH.next(trials)) is not None:
        trials.append(Trial(value, server(value)))
    return of(trials, wanted)


def of(trials: Sequence[Trial], wanted: Wanted = Wanted.VMS) -> Find:
    return Find(wanted=wanted, search=SEARCH, steps=tuple(step(trial, wanted) for trial in trials))


def interrupted(wanted: Wanted = Wanted.VMS) -> Find:
    begun = find(wanted=wanted, runs=2)
    last = step(Trial(6, Seen.UNKNOWN), wanted, Verdict.INTERRUPTED)
    return dataclasses.replace(begun, steps=(*begun.steps, last))


def timed(found: Find) -> Find:
    """The search with its times; runs that failed were stopped early."""
    early = [step.verdict is Verdict.NOT_CONFORMING for step in found.steps]
    steps = (
        dataclasses.replace(step, stopped_early=is_early, took_s=12.0 if is_early else 29.0)
        for step, is_early in zip(found.steps, early, strict=True)
    )
    return dataclasses.replace(found, steps=tuple(steps))


def not_started(found: Find) -> Find:
    """The search on a host on which the runs that failed did not start."""
    why = "vm07 did not start: its app ended with status 137: killed by the kernel, out of memory"
    steps = (
        dataclasses.replace(step, started=False, reasons=(why,), reached=None, p99_ms=None)
        if step.verdict is Verdict.NOT_CONFORMING
        else step
        for step in found.steps
    )
    return dataclasses.replace(found, steps=tuple(steps))


def header(wanted: Wanted = Wanted.VMS) -> Header[Any]:
    if wanted is Wanted.RATE:
        return dataclasses.replace(https.header(), kind=KIND_HTTP_FIND, targets=())
    return dataclasses.replace(results.header(4), kind=KIND_SPEC_FIND, targets=())
