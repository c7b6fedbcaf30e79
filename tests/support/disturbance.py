"""Constructed seconds of load machines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loadgen.measure.disturbance import EngineSecond, MachineSecond
from loadgen.model.units import NS_PER_S


def engine_second(worker: str = "local/0", others: float = 0.0, **more: Any) -> EngineSecond:
    """Return a second of an engine on core 1, of which other processes used the share `others`."""
    quiet = EngineSecond(
        worker=worker,
        cores=(1,),
        core_ns=NS_PER_S,
        others_ns=int(others * NS_PER_S),
        stolen_ns=0,
        softirq_ns=NS_PER_S // 10,
        most="hog (pid 7)" if others else "none",
    )
    return replace(quiet, **more)


def second(
    interval: int, others: float = 0.0, *, window: int = 0, machine: str = "local", **more: Any
) -> MachineSecond:
    """Return a second that lies wholly in `window`."""
    quiet = MachineSecond(
        machine=machine,
        interval=interval,
        window=window,
        end_ns=NS_PER_S if window >= 0 else 0,
        engines=(engine_second(f"{machine}/0", others),),
        throttled_ns=0,
        periods=10,
        throttled_periods=0,
        pressure_ns=NS_PER_S // 2,
        softnet_dropped=0,
        softnet_squeezed=3,
        tcp_retransmits=5,
        listen_overflows=2,
    )
    return replace(quiet, **more)
