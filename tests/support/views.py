"""Constructed values for the live view of a spec run."""

from __future__ import annotations

import dataclasses

from coordinator.output.terminal.runview import EngineRow, MachineRow, RunView, TargetRow
from loadgen.verdict.span import Span


def exactly(value_ms: float) -> Span:
    return Span(value_ms, value_ms)


def target_row(index: int, *, failing: bool = False) -> TargetRow:
    return TargetRow(
        name=f"vm{index + 1}",
        address=f"127.0.0.1:{20001 + index}",
        requested=20,
        conforming=17 if failing else 20,
        ops_per_s=65.25 + index / 8,
        mbit_per_s=7.84 + index / 50,
        p50_ms=exactly(4.125 + index),
        p99_ms=exactly(812.0 + 31 * index),
        errors=3 if failing else 0,
    )


def run_view(vms: int = 16, *, engines: int = 2, failing: tuple[int, ...] = (), elapsed_s: float = 38.0) -> RunView:
    rows = tuple(target_row(i, failing=i in failing) for i in range(vms))
    totals = TargetRow(
        name=f"all {vms}",
        address="",
        requested=20 * vms,
        conforming=sum(row.conforming or 0 for row in rows),
        ops_per_s=sum(row.ops_per_s for row in rows),
        mbit_per_s=sum(row.mbit_per_s for row in rows),
        p50_ms=exactly(11.5),
        p99_ms=exactly(1204.0),
        errors=sum(row.errors for row in rows),
    )
    return RunView(
        title=f"SPECweb99-style: {vms} VMs x 20 connections, nginx, seed 1",
        interval=37,
        phase="measure",
        iteration=1,
        iterations=3,
        phase_elapsed_s=11.0,
        phase_length_s=20.0,
        elapsed_s=elapsed_s,
        total_s=71.5,
        targets=rows,
        totals=totals,
        engines=tuple(
            EngineRow(
                worker=f"engine {i}",
                connections=20 * vms // engines,
                cpu_share=0.31 + i / 50,
                runqueue_share=0.004,
                lateness_p99_ms=0.42 + i / 10,
            )
            for i in range(engines)
        ),
    )


def fleet_view(machines: int = 3, *, lost: tuple[int, ...] = (), vms: int = 16) -> RunView:
    """Return the view of a run on several load machines."""
    rows = tuple(
        MachineRow(
            name=f"load-machine-{i + 1}",
            state="lost" if i in lost else "playing",
            engines=0 if i in lost else 8,
            cpu_share=None if i in lost else 0.31 + i / 50,
            lateness_p99_ms=None if i in lost else 0.42 + i / 10,
            offset_ms=[-0.125, 8_123_456.0, 12.5][i % 3],
            offset_error_ms=0.07 + i / 100,
            seen_ago_s=12.5 if i in lost else 0.4,
            failing=i in lost,
        )
        for i in range(machines)
    )
    return dataclasses.replace(run_view(vms, engines=8 * machines), machines=rows)


def starting_view() -> RunView:
    """Return the view of a run before its first complete interval."""
    view = run_view(2)
    idle = [
        dataclasses.replace(row, conforming=None, ops_per_s=0.0, mbit_per_s=0.0, p50_ms=None, p99_ms=None, errors=0)
        for row in (*view.targets, view.totals)
    ]
    return dataclasses.replace(
        view,
        interval=-1,
        phase="starting the servers",
        iteration=-1,
        phase_length_s=0.0,
        elapsed_s=0.0,
        targets=tuple(idle[:-1]),
        totals=idle[-1],
        engines=(),
    )
