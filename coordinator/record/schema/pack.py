"""The document of `loadgen pack`.  A number that is not known is null."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from coordinator.record.schema.common import Count, Document, Positive
from loadgen.measure.packing import Sweep
from loadgen.model.pack import PackPlan


class StoppedBy(Struct, kw_only=True):
    """The end of the packing."""

    cause: Annotated[
        Literal["asked", "reserved", "memory", "disk", "limit", "silent", "death", "refused", "interrupted"],
        Meta(description="The kind of the cause; asked: as many VMs run as were asked for."),
    ]
    why: Annotated[str, Meta(description="The cause in words, with the name and the value of a limit.")]


class PackPoint(Struct, kw_only=True):
    """The footprint per VM when a number of VMs ran: means of the growth since before the first VM."""

    vms: Annotated[Positive, Meta(description="Number of VMs that ran.")]
    tried: Annotated[Positive, Meta(description="Number of these that were started last.")]
    start_s: Annotated[float, Meta(description="Time in which these were started, until each answered.")]
    pss_bytes: Annotated[float | None, Meta(description="PSS of the VMs' processes (proportional set size).")]
    group_bytes: Annotated[
        float | None, Meta(description="Growth of the memory of loadgen's own control group, without supervisors.")
    ]
    available_bytes: Annotated[float | None, Meta(description="Decrease of the available memory, without supervisors.")]
    kernel_bytes: Annotated[float | None, Meta(description="Growth of slab, kernel stacks and page tables.")]
    tasks: Annotated[float | None, Meta(description="Processes and threads.")]
    disk_bytes: Annotated[float | None, Meta(description="Decrease of the free space for the files of VMs.")]


class PackDocument(Document, kw_only=True, tag="pack"):
    """The result of a `loadgen pack` run."""

    notes: list[str]
    plan: Annotated[PackPlan, Meta(description="The plan of the run, with everything that is needed to repeat it.")]
    packed: Annotated[
        Count | None,
        Meta(description="VMs that answered in the final sweep, all at once; null in a run that does not tell."),
    ]
    started: Annotated[Count, Meta(description="VMs that ran before the final sweep.")]
    stopped_by: Annotated[StoppedBy | None, Meta(description="What ended the packing; null when unfinished.")]
    start_s: Annotated[float, Meta(description="Time of all starts that succeeded.")]
    starts_per_s: Annotated[float | None, Meta(description="started divided by start_s.")]
    end_s: Annotated[float | None, Meta(description="Time in which all VMs were ended.")]
    driver: Annotated[str, Meta(description="The VM driver.")]
    server: Annotated[str, Meta(description="Name and version of the web server.")]
    guarantee: Annotated[str, Meta(description="What the reservations rest on; empty when overbooked.")]
    supervisors_bytes: Annotated[
        int | None, Meta(description="PSS of the processes that supervise the VMs; in no PSS of a VM.")
    ]
    curve: Annotated[list[PackPoint], Meta(description="The footprint by number of VMs.")]
    sweep: Annotated[Sweep | None, Meta(description="The final sweep; null when there was none.")]
