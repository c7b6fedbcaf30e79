"""The disturbance track as CSV: one row for each load machine, engine and second.

docs/exports.md describes the columns.  An empty cell says that the machine cannot tell the number.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from coordinator.output.judged import Judged
from coordinator.output.measured import parts_of
from coordinator.output.streams import OutputError
from coordinator.record.frames import seconds
from loadgen.measure.disturbance import NAMESPACE, EngineSecond, MachineSecond
from loadgen.model.units import NS_PER_MS

COLUMNS = (
    "run",
    "second",
    "seconds",
    "iteration",
    "machine",
    "engine",
    "cores",
    "core_ms",
    "others_ms",
    "others_most",
    "stolen_ms",
    "softirq_ms",
    "mhz",
    "throttled_ms",
    "throttled_periods",
    "periods",
    "pressure_ms",
    "softnet_dropped",
    "softnet_squeezed",
    "tcp_retransmits",
    "listen_overflows",
    *(name for name in NAMESPACE if name not in ("tcp_retransmits", "listen_overflows")),
)


def write_disturbance(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the header line and the rows.

    Raises OutputError when no second was watched, RecordError when the record of a sweep's point cannot be read.
    """
    rows = [
        {"run": part.name, **row}
        for part in parts_of(judged)
        for second in seconds(part.record.path)
        for row in _rows(second)
    ]
    if not rows:
        raise OutputError(
            f"the record {judged.path} does not say what disturbed its load machines",
            hint="loadgen spec and loadgen http record it; --format csv shows what else was measured",
        )
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _rows(second: MachineSecond) -> Iterator[Mapping[str, object]]:
    own = {
        "second": second.interval,
        "seconds": second.span,
        "iteration": "" if second.window < 0 else second.window,
        "machine": second.machine,
        "throttled_ms": _ms(second.throttled_ns),
        "throttled_periods": _known(second.throttled_periods),
        "periods": _known(second.periods),
        "pressure_ms": _ms(second.pressure_ns),
        "softnet_dropped": _known(second.softnet_dropped),
        "softnet_squeezed": _known(second.softnet_squeezed),
        **{name: _known(getattr(second, name)) for name in NAMESPACE},
    }
    for engine in second.engines:
        yield {**own, **_of_engine(engine)}


def _of_engine(engine: EngineSecond) -> Mapping[str, object]:
    return {
        "engine": engine.worker,
        "cores": " ".join(map(str, engine.cores)),
        "core_ms": _ms(engine.core_ns) if engine.cores else "",
        "others_ms": _ms(engine.others_ns),
        "others_most": engine.most,
        "stolen_ms": _ms(engine.stolen_ns),
        "softirq_ms": _ms(engine.softirq_ns),
        "mhz": _known(engine.mhz),
    }


def _known(number: int) -> object:
    return "" if number < 0 else number


def _ms(time_ns: int) -> str:
    return "" if time_ns < 0 else f"{time_ns / NS_PER_MS:g}"
