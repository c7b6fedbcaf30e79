"""The disturbance track as CSV: one row for each load machine, engine and second.

docs/exports.md describes the columns.  An empty cell says that the machine cannot tell the number.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from coordinator.output.csv_cells import counted_millis, known
from coordinator.output.judged import Judged
from coordinator.output.measured import parts_of
from coordinator.output.streams import OutputError
from coordinator.record.frames import seconds
from loadgen.measure.disturbance import NAMESPACE, EngineSecond, MachineSecond

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
        "throttled_ms": counted_millis(second.throttled_ns),
        "throttled_periods": known(second.throttled_periods),
        "periods": known(second.periods),
        "pressure_ms": counted_millis(second.pressure_ns),
        "softnet_dropped": known(second.softnet_dropped),
        "softnet_squeezed": known(second.softnet_squeezed),
        **{name: known(getattr(second, name)) for name in NAMESPACE},
    }
    for engine in second.engines:
        yield {**own, **_of_engine(engine)}


def _of_engine(engine: EngineSecond) -> Mapping[str, object]:
    return {
        "engine": engine.worker,
        "cores": " ".join(map(str, engine.cores)),
        "core_ms": counted_millis(engine.core_ns) if engine.cores else "",
        "others_ms": counted_millis(engine.others_ns),
        "others_most": engine.most,
        "stolen_ms": counted_millis(engine.stolen_ns),
        "softirq_ms": counted_millis(engine.softirq_ns),
        "mhz": known(engine.mhz),
    }
