"""The kinds of runs by name.  A new kind is one folder in this package and one entry in the table below."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from coordinator.record.header import Header, RecordError
from coordinator.record.reader import Judge
from coordinator.run.api import Kind

_KINDS = {
    "spec": "coordinator.kinds.spec.kind:SpecKind",
    "http": "coordinator.kinds.http.kind:HttpKind",
    "iperf": "coordinator.kinds.iperf.kind:IperfKind",
    "forward": "coordinator.kinds.forward.kind:ForwardKind",
    "pack": "coordinator.kinds.pack.kind:PackKind",
    "isolate": "coordinator.kinds.isolate.kind:IsolateKind",
    "relative-round": "coordinator.kinds.relative.kind:RoundKind",
}


def load_kind(name: str) -> Kind[Any, Any, Any]:
    """Import and return the kind `name`.  Raises RecordError when there is no such kind."""
    if name not in _KINDS:
        raise RecordError(f"{name!r} is not a kind of run; known are {', '.join(_KINDS)}")
    module, _, attribute = _KINDS[name].partition(":")
    kind: Kind[Any, Any, Any] = getattr(importlib.import_module(module), attribute)()
    return kind


def judges() -> dict[str, Judge]:
    """By kind: the function that judges a run from its record when the run did not record its end."""
    return {name: _judge(name) for name in _KINDS}


def _judge(name: str) -> Judge:
    def judge(header: Header[Any], measured: Iterable[Any]) -> Any:
        kind = load_kind(name)
        return kind.judge(kind.restore(header, measured))

    return judge
