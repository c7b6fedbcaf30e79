"""What the kernels of the load machines saw of TCP, in run.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from loadgen.measure.disturbance import NAMESPACE
from loadgen.verdict.namespace import NamespaceRow
from loadgen.verdict.tcp_result import Blame, TcpRow


def write_tcp(row: TcpRow | None) -> dict[str, Any]:
    """The field `tcp` of a target, or of all together; none when no TCP connection was seen."""
    if row is None:
        return {}
    data = dataclasses.asdict(row)
    return {"tcp": data if row.not_conforming else {k: v for k, v in data.items() if k != "not_conforming"}}


def read_tcp(data: Mapping[str, Any]) -> dict[str, TcpRow]:
    """The inverse of :func:`write_tcp`, for a mapping that may have the field.

    Raises KeyError, TypeError or ValueError if the field is malformed.
    """
    if "tcp" not in data:
        return {}
    given = dict(data["tcp"])
    blame = given.pop("not_conforming", None)
    return {"tcp": TcpRow(**given, not_conforming=None if blame is None else Blame(**blame))}


def write_namespaces(rows: Sequence[NamespaceRow]) -> dict[str, Any]:
    """The field `namespaces` of a window; none when nothing was read."""
    made = [{"machine": row.machine, "seconds": row.seconds, **row.counted} for row in rows]
    return {"namespaces": made} if made else {}


def read_namespaces(data: Mapping[str, Any]) -> tuple[NamespaceRow, ...]:
    """The inverse of :func:`write_namespaces`.  KeyError or TypeError if the field is malformed."""
    return tuple(
        NamespaceRow(
            machine=one["machine"],
            seconds=one["seconds"],
            counted={name: one[name] for name in NAMESPACE if name in one},
        )
        for one in data.get("namespaces", ())
    )
