"""run.json of every kind of run, as plain data, from a run's values and back.

The kinds differ in what :data:`coordinator.record.catalog.KINDS` says of them.  `run.schema.json` describes the
documents.  JSON has no spelling for a number that is not finite: it is written as null.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Any

from coordinator.record.catalog import KINDS
from coordinator.record.environment import Environment
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import SCHEMA_VERSION, UNFINISHED, Header, Plan, Result
from loadgen.model.derived import Plain
from loadgen.model.secrets import mask_text


def unfinished(header: Header[Plan], so_far: Result | None = None) -> dict[str, Any]:
    """The document of a run that has only begun; `so_far` is the part of a sweep that is done."""
    return _document(header, so_far, "")


def finished(header: Header[Plan], result: Result, *, finished_at: str) -> dict[str, Any]:
    """The document of a run that ended in any way, at the time `finished_at` (ISO 8601 with a zone)."""
    return _document(header, result, finished_at)


def header_of(document: Mapping[str, Any]) -> Header[Any]:
    """The header that a document was made from.  KeyError, TypeError, ValueError or PlanError when it has none."""
    kind = KINDS[document["kind"]]
    plan = kind.read_plan(document["plan"])
    return Header(
        kind=document["kind"],
        started_at=document["started_at"],
        plan=plan,
        environment=Environment.from_dict(document["environment"]),
        targets=kind.targets(document, plan),
        fleet=FleetRecord.from_dict(document["fleet"]) if kind.on_fleet else None,
        shows_secrets=True,  # a record that is written again keeps what it holds
    )


def result_of(document: Mapping[str, Any]) -> Any:
    """The result that a finished document was made from, or the part of a sweep that is done.

    KeyError, TypeError, ValueError or PlanError when there is none, as for every other run that is unfinished.
    """
    return KINDS[document["kind"]].read(document)


def _document(header: Header[Plan], result: Result | None, finished_at: str) -> dict[str, Any]:
    ended = result if finished_at else None
    header = header if header.shows_secrets else _concealed(header)
    document = _plain(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": header.kind,
            "started_at": header.started_at,
            "finished_at": finished_at or None,
            "verdict": ended.verdict.value if ended else UNFINISHED,
            "exit_code": int(ended.exit_code) if ended else None,
            "reasons": result.reasons if result else (),
            **KINDS[header.kind].write(header, result),
            "environment": header.environment.to_dict(),
        }
    )
    assert isinstance(document, dict)
    return document


def _concealed(header: Header[Plan]) -> Header[Plan]:
    """The header without the secrets of its plan and of its command line."""
    words = tuple(mask_text(word) for word in header.environment.command_line)
    environment = dataclasses.replace(header.environment, command_line=words)
    return dataclasses.replace(header, plan=KINDS[header.kind].conceal(header.plan), environment=environment)


_AS_THEY_ARE = frozenset((str, int, bool, type(None), Plain))


def _plain(value: Any) -> Any:
    """Return plain JSON data: numpy numbers become Python numbers, tuples lists, and non-finite numbers null."""
    if type(value) in _AS_THEY_ARE:  # with Plain, because plans may have 100,000 requests
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
