"""Generates docs/exports.md: names, units and meaning of everything that loadgen exports, other than run.json.

`make schema` writes the page; a test fails when it is edited by hand, or when a column has no meaning here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.output import fields_tape, fields_tcp, fields_tests
from coordinator.output.csv_figures import FIGURE_COLUMNS
from coordinator.output.csv_phases import PHASE_COLUMNS
from coordinator.output.csv_rows import TARGET_COLUMNS
from coordinator.output.csv_steps import STEP_COLUMNS
from coordinator.output.csv_tests import TEST_COLUMNS
from coordinator.output.csv_trials import TRIAL_COLUMNS
from coordinator.output.disturbance_rows import COLUMNS
from coordinator.output.live_metrics import METRICS, Metric
from coordinator.output.second_rows import SECOND_COLUMNS
from coordinator.output.tcp_rows import TCP_COLUMNS
from coordinator.output.vm_rows import VM_COLUMNS

PAGE = Path(__file__).parents[2] / "docs" / "exports.md"

_UNITS = {
    "bytes_per_vm": "bytes",
    "mbit_per_s": "10^6 bit/s",
    "_bytes": "bytes",
    "_share": "0 to 1",
    "_ms": "ms",
    "_s": "s",
    "mhz": "MHz",
}
"""Unit by the end of a column's name; the first one that fits counts.  Other columns are counts or text."""

_LIVE_UNITS = {"By": "bytes", "By/s": "bytes/s", "1": "0 to 1", "{vm}": "VMs", "{reply}": "replies"}

_TIMES = {
    "response": "Response time, due to done",
    "service": "Service time, sent to done, of sent operations",
    "lateness": "Lateness, due to sent, of sent operations",
}
_QUANTILES = {"p50": "median", "p90": "90th percentile", "p99": "99th percentile", "max": "maximum"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page: its columns in their order, and the meaning of each."""

    title: str
    text: str
    columns: Sequence[str]
    meanings: Mapping[str, str]


def _times() -> Iterator[tuple[str, str]]:
    for time, words in _TIMES.items():
        for name, quantile in _QUANTILES.items():
            lower = "" if time == "lateness" else "; a lower bound, as failed and cut operations count until then"
            yield f"{time}_{name}_ms", f"{words}: {quantile}{lower}."
            yield f"{time}_{name}_high_ms", "Upper bound of the same; `inf` when failed or cut operations leave none."


_TARGETS = {**fields_tape.TARGETS, **dict(_times())}
_UNKNOWN = "An empty cell says that a number is not known or does not apply."

TABLES = (
    Table(
        "CSV of `--format seconds`",
        "Exactly one row for each VM (or server) and second of `spec`, `http`, and all that is made of such runs: "
        "sweeps, "
        "searches, repeats, comparisons, the web load of `isolate`, the experiments of `paper`. A second in which "
        "nothing "
        "ended has a row, too. `run`, `vm` and `second` together are unique. "
        + _UNKNOWN
        + " Other records have no VMs "
        "with seconds; the command says so and exits with 2.",
        SECOND_COLUMNS,
        {**fields_tape.VMS, **_TARGETS, **fields_tape.SECONDS},
    ),
    Table(
        "CSV of `spec`, its sweeps and `http`",
        f"One row for each target, second and window. {_UNKNOWN}",
        TARGET_COLUMNS,
        _TARGETS,
    ),
    Table(
        "CSV of `iperf` and `forward`",
        f"One row for each test, and one for each interval of it. {_UNKNOWN}",
        TEST_COLUMNS,
        fields_tests.TESTS,
    ),
    Table(
        "CSV of `pack`",
        f"One row for each number of VMs at which the footprint was measured. {_UNKNOWN}",
        STEP_COLUMNS,
        fields_tests.PACK,
    ),
    Table(
        "CSV of `isolate`",
        "One row for each hog and each service of the quiet VM. A lost probe counts as one that took the time-out of "
        "1 s, "
        "so times are lower bounds where probes were lost.",
        PHASE_COLUMNS,
        fields_tests.ISOLATE,
    ),
    Table(
        "CSV of `relative`",
        f"One row for each number of each VM in each trial; a VM without numbers has one row. {_UNKNOWN}",
        TRIAL_COLUMNS,
        fields_tests.RELATIVE,
    ),
    Table(
        "CSV of `paper`",
        "One row for each number of this machine that stands beside the paper's; an experiment without numbers has one "
        "row.",
        FIGURE_COLUMNS,
        fields_tests.PAPER,
    ),
    Table(
        "CSV of `--format vms`",
        "One row for each VM and each time between two readings (a second, or more with very many VMs) of `spec` and "
        "its "
        "sweeps, from `vm_counters.msgpack` of the record. An empty cell says that the number was not read; a 0 was "
        "read. "
        "Records without VMs on this machine have no such file; the command says so and exits with 2.",
        VM_COLUMNS,
        fields_tape.VMS,
    ),
    Table(
        "CSV of `--format disturbance`",
        "One row for each load machine, engine and second of `spec`, its sweeps and `http`, from "
        "`disturbance.msgpack` of "
        "the record. An empty cell says that the machine cannot tell. Other records have no such file; the command "
        "says so "
        "and exits with 2.",
        COLUMNS,
        {**fields_tape.DISTURBANCE, **fields_tcp.NAMESPACE},
    ),
    Table(
        "CSV of `--format tcp`",
        "One row for each target and second of `spec`, its sweeps and `http`, and then one for each target and "
        "measured window, in which `interval_start_s` is empty. An empty cell says that the kernel does not tell, or "
        "that the number does not apply. Records of earlier versions have no such numbers; the command says so and "
        "exits with 2.",
        TCP_COLUMNS,
        fields_tcp.TCP,
    ),
)
"""The tables of CSV columns."""

_HEAD = """\
# Exported fields

What each export of loadgen contains: names, units, meaning. [Output formats](output.md) says which there are;
[run.json](json.md) has a page of its own. Numbers have no thousands separators, and points as decimal points.

```sh
loadgen show runs/2026-02-03T04-05-06-spec --format seconds
```

Each CSV is read in one line, for example by pandas, once the output is in a file:

```python
frame = pandas.read_csv("seconds.csv")
```
"""

_HDR = """\
## HdrHistogram log of `--format hdr`

An interval log of version 1.3 with histograms in the V2 encoding, for the readers and plotters of HdrHistogram.

| field | unit | meaning |
| --- | --- | --- |
| `StartTime` | s | Start of the run, since the epoch. |
| `Tag` | | Directory of the run, relative to the record; a single run has no tag. |
| `StartTimestamp` | s | Start of the interval, after the start of the run (or of the sweep). |
| `Interval_Length` | s | Length of the interval. |
| `Interval_Max` | ms | Longest time in the interval. |
| `Interval_Compressed_Histogram` | ns | Response times in the measured windows; failed and cut count until then. |
"""

_LIVE = """\
## Metrics of a run in progress

OpenTelemetry (`--otlp`) and Prometheus (`--metrics`) get the same numbers, read off what the live view shows. For
OpenTelemetry, all of them are gauges: rates and times are those of the newest complete second. For Prometheus, response
times are summaries, and there are counters and infos besides. [Metrics for Prometheus](metrics.md) has type, labels and
meaning of each metric; OpenTelemetry has the same labels, as attributes. A number that is not known is not exported.
Nothing of a run in progress is a verdict: that is in the record when the run is over.

| OpenTelemetry | unit | Prometheus |
| --- | --- | --- |
"""


def page_text() -> str:
    """The text of the page."""
    return "\n".join([_HEAD, *map(_section, TABLES), _HDR, _LIVE + "".join(map(_live_row, METRICS))])


def _section(table: Table) -> str:
    rows = "".join(f"| `{name}` | {_unit(name)} | {table.meanings[name]} |\n" for name in table.columns)
    text = textwrap.fill(table.text, 120, break_on_hyphens=False)
    return f"## {table.title}\n\n{text}\n\n| column | unit | meaning |\n| --- | --- | --- |\n{rows}"


def _unit(column: str) -> str:
    return next((unit for end, unit in _UNITS.items() if column.endswith(end)), "")


def _live_row(metric: Metric) -> str:
    unit = (
        _LIVE_UNITS.get(metric.unit) if metric.unit in _LIVE_UNITS else metric.unit.replace("{", "").replace("}", "s")
    )
    return f"| `{metric.otlp}` | {unit} | `{metric.prometheus}` |\n"


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
