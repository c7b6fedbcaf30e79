"""The judge of `loadgen pack`: the curve of the footprint, what stopped the packing, and whether all VMs answered."""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.measure.packing import UNKNOWN, Packed, Step, Sweep, Use
from loadgen.model.emulated import EMULATED
from loadgen.model.pack import PackPlan
from loadgen.model.units import NS_PER_S, counted
from loadgen.verdict.pack_result import PackResult, PackRow
from loadgen.verdict.packing import Cause, Stop, next_vms
from loadgen.verdict.result import Verdict

_NAMED_SILENT = 3


def judge_pack(
    plan: PackPlan, packed: Packed, *, interrupted: bool = False, notes: Sequence[str] = (), emulated: bool = False
) -> PackResult:
    """The result of what was measured.

    CONFORMING: all VMs that were started answered in one sweep, and as many were started as were asked for, if a
    number was.  NOT_CONFORMING: fewer, or some did not answer.  INVALID: loadgen itself could not ask some VMs, or the
    VMs are `emulated`, and have another footprint than real ones.
    """
    good = [step for step in packed.steps if not step.refused]
    stop = _stop(plan, packed, interrupted=interrupted)
    verdict, reasons = _verdict(plan, packed, stop, started=good[-1].vms if good else 0)
    if emulated and verdict is not Verdict.INTERRUPTED:
        verdict, reasons = Verdict.INVALID, [f"the VMs are {EMULATED}", *reasons]
    sweep = packed.sweep[0] if packed.sweep else None
    known = sweep is not None and verdict not in (Verdict.INVALID, Verdict.INTERRUPTED)
    return PackResult(
        verdict=verdict,
        reasons=tuple(reasons),
        notes=tuple(notes),
        packed=sweep.answered if sweep is not None and known else UNKNOWN,
        started=good[-1].vms if good else 0,
        stop=stop,
        curve=tuple(_row(good[0], step) for step in good[1:]),
        sweep=packed.sweep,
        start_s=sum(step.took_ns for step in good[1:]) / NS_PER_S,
        end_s=packed.ended_ns / NS_PER_S if packed.ended_ns >= 0 else UNKNOWN,
        supervisors_bytes=good[-1].use.supervisors_bytes if good else UNKNOWN,
        driver=packed.driver,
        server=packed.server,
        guarantee=packed.guarantee,
    )


def _stop(plan: PackPlan, packed: Packed, *, interrupted: bool) -> Stop:
    found = next_vms(plan, packed.steps, packed.deaths) if packed.steps else 0
    if isinstance(found, Stop) and (not interrupted or packed.sweep):
        return found
    return Stop(Cause.INTERRUPTED, "the run was stopped before the packing ended")


def _verdict(plan: PackPlan, packed: Packed, stop: Stop, *, started: int) -> tuple[Verdict, list[str]]:
    if not packed.sweep:
        return Verdict.INTERRUPTED, ["the run was stopped before the final sweep: nobody asked all VMs at once"]
    sweep = packed.sweep[0]
    ours = [one for one in sweep.silent if one.ours]
    if ours:
        return Verdict.INVALID, [f"loadgen could not ask {counted(len(ours), 'VM')}: {ours[0].why}"]
    reasons = []
    if sweep.silent:
        reasons.append(_silent(sweep))
    if plan.count and started < plan.count:
        reasons.append(f"{started} of {plan.count} VMs were started: {stop.why}")
    elif stop.cause is Cause.DEATH:
        reasons.append(stop.why)
    if reasons:
        return Verdict.NOT_CONFORMING, reasons
    return Verdict.CONFORMING, [f"{sweep.answered:,} of {sweep.asked:,} VMs answered in one sweep"]


def _silent(sweep: Sweep) -> str:
    named = "; ".join(f"{one.vm}: {one.why}" for one in sweep.silent[:_NAMED_SILENT])
    more = f" (and {len(sweep.silent) - _NAMED_SILENT} more)" if len(sweep.silent) > _NAMED_SILENT else ""
    return f"{sweep.answered} of {sweep.asked} VMs answered in the final sweep; {named}{more}"


def _row(start: Step, step: Step) -> PackRow:
    before, after, vms = start.use, step.use, step.vms
    own = max(0, after.supervisors_bytes)
    return PackRow(
        vms=vms,
        tried=step.tried,
        start_s=step.took_ns / NS_PER_S,
        pss_bytes=_mean(after.pss_bytes, vms),
        group_bytes=_growth(before.group_bytes, after.group_bytes, vms, own),
        available_bytes=_growth(step.room.memory_bytes, start.room.memory_bytes, vms, own),
        kernel_bytes=_growth(_kernel(before), _kernel(after), vms),
        tasks=_mean(after.tasks, vms),
        disk_bytes=_growth(step.room.disk_bytes, start.room.disk_bytes, vms),
    )


def _kernel(use: Use) -> int:
    parts = (use.slab_bytes, use.stacks_bytes, use.tables_bytes)
    return sum(parts) if min(parts) >= 0 else UNKNOWN


def _growth(low: int, high: int, vms: int, own: int = 0) -> float:
    """The growth per VM without `own`, what loadgen's own supervisors take.

    Never below 0, because other processes may have released something meanwhile.
    """
    return max(0, high - low - own) / vms if low >= 0 and high >= 0 else UNKNOWN


def _mean(whole: int, vms: int) -> float:
    return whole / vms if whole >= 0 else UNKNOWN
