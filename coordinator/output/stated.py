"""The checks that a run states, of all kinds of runs, in the order of its document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.output.judged import Judged
from loadgen.model.units import number
from loadgen.verdict.result import Check, Verdict

TRUST = "trust"
"""The group of the checks of the load generator."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A check with the group it belongs to: `trust`, `objectives`, `iteration 2`, `4 VMs, iteration 2`, `stage 3`.

    `decides`: whether it has a part in the verdict.  Objectives that are judged for a single stage have none.
    `at_least`: the measured value is only a lower bound.
    """

    group: str
    check: Check
    decides: bool = True
    at_least: bool = False

    @property
    def words(self) -> str:
        """What was measured, the limit, and what was compared."""
        check, unit = self.check, f" {self.check.unit}" if self.check.unit else ""
        known = check.value == check.value  # not NaN
        value = f"{'at least ' * self.at_least}{number(check.value)}{unit}"
        text = f"{value} (limit: {check.relation} {number(check.limit)}{unit})" if known else "not known"
        return f"{text}: {check.detail}" if check.detail else text


_NAMED = 3


def say_counts(checks: Sequence[Stated]) -> str:
    """How many of these checks hold, how many failed, and which are not known: these convict nobody."""
    failed = sum(not one.check.ok for one in checks)
    unknown = [one.check.name for one in checks if one.check.ok and not one.check.known]
    parts = [f"{len(checks) - failed - len(unknown):,} of {len(checks):,} checks hold"]
    parts += [f"{failed:,} failed"] * bool(failed)
    if unknown:
        names = list(dict.fromkeys(unknown))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        verb = "is" if len(unknown) == 1 else "are"
        parts.append(f"{len(unknown):,} {verb} not known ({', '.join(names[:_NAMED])}{more})")
    return ", ".join(parts)


def stated(judged: Judged[Any, Any]) -> tuple[Stated, ...]:
    """Return the checks of the run.  Those of the servers are left out of a run that says nothing about servers."""
    found = tuple(_walk(judged.document, ()))
    invalid = judged.result.verdict is Verdict.INVALID
    return tuple(one for one in found if not invalid or one.group.endswith(TRUST))


def _walk(value: object, place: tuple[str, ...], *, decides: bool = True) -> Iterator[Stated]:
    if isinstance(value, Mapping):
        for key, held in value.items():
            if key in ("checks", "slos") and isinstance(held, Sequence):
                group = ", ".join(place + (("objectives",) if key == "slos" and decides else ())) or "run"
                for one in held:
                    if isinstance(one, Mapping):
                        yield Stated(group, _check(one), decides, bool(one.get("at_least")))
            else:
                inner = (*place, TRUST) if key == TRUST else place
                yield from _walk(held, inner, decides=decides and key != "stages")
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for number, held in enumerate(value, start=1):
            yield from _walk(held, place + _part(held, number), decides=decides)


def _part(value: object, number: int) -> tuple[str, ...]:
    """How people call this part of a list."""
    if not isinstance(value, Mapping):
        return ()
    if "iterations" in value and "vms" in value:
        return (f"{value['vms']} VMs",)
    if "slos" in value and "begins_s" in value:
        return (f"stage {value['number']}",)
    return (f"iteration {number}",) if "checks" in value else ()


def _check(plain: Mapping[str, Any]) -> Check:
    value = plain["value"]
    return Check(
        name=plain["name"],
        value=float("nan") if value is None else value,
        limit=float("nan") if plain["limit"] is None else plain["limit"],
        ok=plain["ok"],
        unit=plain.get("unit", ""),
        relation=plain.get("relation", "<="),
        detail=plain.get("detail", ""),
    )
