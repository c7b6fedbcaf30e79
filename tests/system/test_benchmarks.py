"""The benchmarks that need nothing but this machine still run; what they measure is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FLEET = Path(__file__).parents[2] / "benchmarks" / "fleet.py"


def test_the_fleet_s_benchmark_measures_all_that_it_tells(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    arguments = ["--agents", "3", "--seconds", "1", "--quick", "--json", str(found)]
    done = subprocess.run(
        [sys.executable, str(FLEET), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.returncode in (0, 1), "it keeps what it promises, or this machine is too busy"
    (three,) = json.loads(found.read_text())
    assert three["agents"] == 3
    assert (three["losses"], three["missing"], three["snapshots_missing"], three["problems"]) == (0, 0, 0, [])
    assert three["clocks_true"] is True
    assert three["snapshots"] >= 3 * 2 * 3
    for name in ("cpu_share", "rss_mb", "snapshot_p99_ms", "stop_max_ms", "start_skew_ms", "machine_kb_per_s"):
        assert three[name] > 0
    assert "coordinator CPU" in done.stdout
    assert "none lost: " in done.stdout.splitlines()[-1]
