"""What is measured of a quiet VM while its neighbours do something.  A number that is not known is None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from loadgen.measure.histogram import Histogram
from loadgen.model.isolate import Hog


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The probes of one service.

    `answered`: times from sending to the kernel's stamp of the reply.  `lost`: probes without a reply within
    `timeout_ns`.  `late`: how much later than planned the probes were sent, which says how good the prober was.
    """

    answered: Histogram
    lost: int
    timeout_ns: int
    late: Histogram

    @property
    def sent(self) -> int:
        """The number of probes."""
        return self.answered.total + self.lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The web load on the quiet VM, as `loadgen spec` judged it.

    `conforming` is None when `invalid` says why the load generator cannot be trusted, or why the load did not run.
    """

    requested: int
    errors: int = 0
    conforming: int | None = None
    ops_per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    invalid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the antisocial VMs did, and what held them; sums over all of them, but `pids` is that of the fullest VM.

    `hogs` were started, and `running` of them still ran at the end; `ended` says why the first of the others ended.
    `did` counts what the hogs report: forks, bytes, milliseconds of CPU.
    """

    hogs: int
    running: int
    did: int | None = None
    cpu_ns: int | None = None
    memory_bytes: int | None = None
    pids: int | None = None
    pids_refused: int | None = None
    oom_kills: int | None = None
    ended: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeen:
    """The machine outside of the VMs meanwhile.

    `spawn`: times in which a program was started and ended.  `free_bytes`: the least available memory.
    `others_share`: the share of all cores that was used by processes that do not belong to the run, or was stolen by
    the hypervisor; a lower bound.  `others_most` names the process that used the most.
    """

    spawn: Histogram
    free_bytes: int
    others_share: float
    others_most: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What was measured while the antisocial VMs ran one hog.

    `game` and `echo` are None when the phase was broken off; `failed` says why.  `deaths` are sentences on VMs of which
    a process ended by itself.  `end_ns` is the time in which all VMs were ended.
    """

    hog: Hog
    game: Probed | None = None
    echo: Probed | None = None
    web: Web | None = None
    held: Held | None = None
    host: HostSeen | None = None
    deaths: tuple[str, ...] = ()
    failed: str = ""
    end_ns: int | None = None

    def to_wire(self) -> Mapping[str, Any]:
        """The phase as plain data, for the intervals of a record."""
        return {name: _to_wire(getattr(self, name)) for name in (field.name for field in fields(self))}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Phase:
        """The inverse of :meth:`to_wire`.  Raises ValueError on damage."""
        try:
            return cls(
                hog=Hog(data["hog"]),
                game=_probed(data["game"]),
                echo=_probed(data["echo"]),
                web=Web(**data["web"]) if data["web"] else None,
                held=Held(**data["held"]) if data["held"] else None,
                host=_host(data["host"]),
                deaths=tuple(data["deaths"]),
                failed=data["failed"],
                end_ns=data["end_ns"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"a phase of an isolation run is damaged: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolated:
    """All that a run measured: the phases in order, and the facts about VMs, servers and probes."""

    phases: tuple[Phase, ...]
    about: Mapping[str, Any]


def times_of(values_ns: Sequence[int]) -> Histogram:
    """The histogram of times."""
    return Histogram.of(np.array(values_ns, dtype=np.int64))


def _to_wire(value: Any) -> Any:
    if isinstance(value, Histogram):
        return {
            "indexes": value.indexes.tolist(),
            "counts": value.counts.tolist(),
            "max_ns": value.max_ns,
            "min_ns": value.min_ns,
        }
    if isinstance(value, Hog):
        return value.value
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Probed | Web | Held | HostSeen):
        return {field.name: _to_wire(getattr(value, field.name)) for field in fields(value)}
    return value


def _histogram(data: Mapping[str, Any]) -> Histogram:
    return Histogram(
        np.array(data["indexes"], np.int32),
        np.array(data["counts"], np.int64),
        max_ns=data["max_ns"],
        min_ns=data["min_ns"],
    )


def _probed(data: Mapping[str, Any] | None) -> Probed | None:
    if data is None:
        return None
    return Probed(
        answered=_histogram(data["answered"]),
        lost=data["lost"],
        timeout_ns=data["timeout_ns"],
        late=_histogram(data["late"]),
    )


def _host(data: Mapping[str, Any] | None) -> HostSeen | None:
    return HostSeen(**{**data, "spawn": _histogram(data["spawn"])}) if data else None
