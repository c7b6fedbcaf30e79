"""Use of the engines' cores by other processes: what counts as use, and what must not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadgen.host.neighbours import Process, Sample, others, parse_stat, take_sample

SECOND = 1_000_000_000


def sample(**cpu_s: float) -> Sample:
    """Return a sample: our processes (10, its child 11), busy ones (20 on core 0, 21 on core 1), a kernel thread
    (3).
    """
    tree = {"us": (10, 1, 0), "engine": (11, 10, 0), "hog": (20, 1, 0), "far": (21, 1, 1), "ksoftirqd": (3, 2, 0)}
    return Sample(
        {
            pid: Process(name, parent, int(cpu_s[name] * SECOND), core)
            for name, (pid, parent, core) in tree.items()
            if name in cpu_s
        },
        {0: int(cpu_s.get("stolen", 0) * SECOND), 1: 0},
    )


def test_only_other_processes_on_the_engines_cores_count() -> None:
    before = sample(us=1, engine=1, hog=100, far=5, ksoftirqd=7)
    after = sample(us=9, engine=9, hog=109, far=14, ksoftirqd=16)
    use = others(before, after, ours=[10], cores={0}, wall_ns=10 * SECOND)
    assert use.share == pytest.approx(0.9)
    assert use.most == "hog (pid 20)"
    both = others(before, after, ours=[10], cores={0, 1}, wall_ns=10 * SECOND)
    assert both.share == pytest.approx(0.9)


def test_a_new_process_counts_completely_and_an_ended_one_does_not() -> None:
    use = others(sample(us=1, far=3), sample(us=1, hog=4), ours=[10], cores={0, 1}, wall_ns=10 * SECOND)
    assert use.share == pytest.approx(0.2)


def test_time_taken_by_the_hypervisor_counts() -> None:
    use = others(sample(us=1, stolen=1), sample(us=1, stolen=6), ours=[10], cores={0}, wall_ns=10 * SECOND)
    assert use.share == pytest.approx(0.5)
    assert use.most == "the hypervisor"


def test_an_idle_machine_has_no_other_use() -> None:
    use = others(sample(us=1, engine=1), sample(us=5, engine=6), ours=[10], cores={0, 1}, wall_ns=10 * SECOND)
    assert (use.share, use.most) == (0.0, "none")


def test_names_with_spaces_and_parentheses_are_read() -> None:
    fields = " ".join(["S", "7", *["0"] * 9, "3", "4", *["0"] * 23, "1", *["0"] * 13])
    assert parse_stat(f"42 (a\x1b[2J) {fields}\n").name == "a [2J"  # the name is shown to the user
    process = parse_stat(f"42 (a (b) c) {fields}\n")
    assert (process.name, process.parent, process.core) == ("a (b) c", 7, 1)
    assert process.cpu_ns == 7 * SECOND // os.sysconf("SC_CLK_TCK")


def test_this_process_is_found_in_the_real_proc() -> None:
    found = take_sample().processes[os.getpid()]
    assert found.parent == os.getppid()
    assert found.cpu_ns > 0


def test_entries_that_are_no_process_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "stat").write_text("2 (odd) S")
    (tmp_path / "stat").write_text("cpu 1 2 3\ncpu0 1 2 3 4 5 6 7 25 0 0\nctxt 5\n")
    found = take_sample(tmp_path)
    assert found.processes == {}
    assert found.stolen_ns == {0: 25 * SECOND // os.sysconf("SC_CLK_TCK")}
