"""What the client's kernel saw of TCP connections, in run.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

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
