"""What the kernel counted for a VM in a measured window."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, UnsetType

from coordinator.record.schema.common import Count

Read = Count | None


class HeldPart(Struct, kw_only=True):
    """Something that held a VM."""

    what: Annotated[
        Literal[
            "OOM-killed",
            "pids limit",
            "throttled",
            "listen queue overflowed",
            "connections dropped",
            "retransmits",
            "waited for a core",
            "hypervisor",
        ],
        Meta(description="The cause."),
    ]
    value: Annotated[
        float,
        Meta(
            ge=0,
            description="Percent for throttled (of the periods of the CPU quota), retransmits (of the segments sent), "
            "waited for a core (of the time, all threads together) and hypervisor (of the host's CPU time); else the "
            "number of events.",
        ),
    ]
    at_least: Annotated[bool, Meta(description="Whether it was not read in some seconds.")]
    phrase: Annotated[str, Meta(description="The same in words.")]
    spans: Annotated[
        list[list[Count]],
        Meta(description="The seconds since the start of the run in which it was so: first and last of each span."),
    ]


class VmCountersPart(Struct, kw_only=True):
    """The counters of a VM in a window; null: not read (vm_counters.msgpack has every second)."""

    read_s: Annotated[float, Meta(ge=0, description="Seconds of the window that lie between two readings.")]
    cpu_ns: Annotated[Read, Meta(description="CPU time of its processes.")]
    waited_ns: Annotated[
        Read, Meta(description="Time in which its threads could run but waited for a core, added up; a lower bound.")
    ]
    periods: Annotated[Read, Meta(description="Periods of its CPU quota.")]
    throttled_periods: Annotated[Read, Meta(description="Of these, periods in which the quota was used up.")]
    throttled_ns: Annotated[Read, Meta(description="Time for which the quota stopped it, added up over the cores.")]
    oom_kills: Annotated[Read, Meta(description="Processes that the kernel killed because of the memory limit.")]
    pids_refused: Annotated[Read, Meta(description="Forks that the limit of processes refused.")]
    listen_overflows: Annotated[Read, Meta(description="Connections that found its listen queue full.")]
    listen_drops: Annotated[
        Read, Meta(description="Connection attempts that its listening sockets dropped, for any reason.")
    ]
    segments_sent: Annotated[Read, Meta(description="TCP segments that it sent, without those sent again.")]
    retransmits: Annotated[Read, Meta(description="TCP segments that it sent again.")]
    memory_bytes: Annotated[
        Read, Meta(description="Memory of its cgroup, with page cache: the most at the end of a second.")
    ]
    pids: Annotated[Read, Meta(description="Its processes and threads: the most at the end of a second.")]
    stolen_share: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="Share of the host's CPU time that its hypervisor took.")
    ]
    pss_before_bytes: Annotated[
        Read, Meta(description="Proportional set size of its processes before the traffic of the run.")
    ]
    pss_after_bytes: Annotated[Read, Meta(description="The same after the traffic of the run.")]
    at_least: Annotated[list[str], Meta(description="The numbers above that were not read in some of the seconds.")]
    held: Annotated[
        list[HeldPart],
        Meta(description="What held the VM, whether it conforms or not; most important first, empty without a score."),
    ]


VmCountersOrUnset = Annotated[
    VmCountersPart | UnsetType, Meta(description="What the kernel counted for the VM, where it is on this machine.")
]
