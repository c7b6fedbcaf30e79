"""docs/metrics.md, made from the metrics."""

from __future__ import annotations

from pathlib import Path

from coordinator.output.live_counters import EXTRAS
from coordinator.output.live_metrics import METRICS
from coordinator.output.prometheus import sample_name, type_of

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

_INTRODUCTION = """# Metrics for Prometheus

```sh
loadgen http http://127.0.0.1:8080/ -d 10m --metrics 127.0.0.1:9090
```

This command serves the metrics below at `http://127.0.0.1:9090/metrics` while it runs. Every command that plays runs
has the option. [Live pages and metrics](web.md#metrics-for-prometheus) says how to use the metrics, and
[Exported fields](exports.md#metrics-of-a-run-in-progress) has their names for OpenTelemetry. `make schema` writes this
page from the code.

- They come from the same values as the live view in the terminal, which change once a second. A metric that is not
  known, or that the present run does not have, is left out.
- A gauge holds the newest complete second. A counter counts all of them, and starts again at 0 with each iteration;
  `rate()` and `increase()` heed that.
- They show a run in progress. Its result is in the record: only there is everything counted, and the load generator
  judged.

| name | type | labels | meaning |
| --- | --- | --- | --- |
"""

_END = """
Names end with their unit. In a summary, `quantile` 0.5 is the median and 1 the maximum. An `info` has the
value 1, and says something by its labels.
"""


def page_text() -> str:
    """The page."""
    every = [*((one.metric, one.type) for one in EXTRAS), *((metric, type_of(metric)) for metric in METRICS)]
    rows = (
        f"| `{sample_name(metric, of_type)}` | {of_type} | {', '.join(f'`{one}`' for one in metric.labels) or '-'} "
        f"| {metric.meaning} |\n"
        for metric, of_type in every
    )
    return _INTRODUCTION + "".join(rows) + _END


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
