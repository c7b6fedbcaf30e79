"""Use of the engines' cores by other processes: what counts as use, and what must not."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from loadgen.host.neighbours import Neighbours, OtherUse, QuietWatch
from loadgen.host.processes import Core, Process, Sample

SECOND = 1_000_000_000
PARENTS = {"us": 1, "engine": 10, "other engine": 10, "server": 10, "hog": 1, "far": 1, "ksoftirqd": 2}
PIDS = {"us": 10, "engine": 11, "other engine": 12, "server": 13, "hog": 20, "far": 21, "ksoftirqd": 3}
Use = tuple[float, int]  # CPU seconds so far, and the last core


def sample(at_s: float, cores: Sequence[float], *, reaped_s: float = 0.0, stolen_s: float = 0.0, **uses: Use) -> Sample:
    """`cores`: seconds that each core was used; `reaped_s`: of children of us; `stolen_s`: of core 0."""
    named = {name.replace("_", " "): use for name, use in uses.items()}
    processes = {
        PIDS[name]: Process(name, PARENTS[name], int(cpu_s * SECOND), core, int(reaped_s * SECOND * (name == "us")))
        for name, (cpu_s, core) in named.items()
    }
    return Sample(
        int(at_s * SECOND),
        processes,
        {n: Core(int(used * SECOND), int(stolen_s * SECOND) * (n == 0)) for n, used in enumerate(cores)},
        {pid: {pid: process} for pid, process in processes.items() if "engine" in process.name},
    )


def beside(*samples: Sample, engines: Sequence[int] = (11,)) -> OtherUse:
    found = Neighbours(engines, [10])
    for before, after in itertools.pairwise(samples):
        found.add(before, after)
    return found.worst()


def test_only_other_processes_on_the_engines_cores_count() -> None:
    use = beside(
        sample(0, [200, 100], us=(1, 0), engine=(1, 0), hog=(100, 0), far=(5, 1), ksoftirqd=(7, 0)),
        sample(10, [210, 110], us=(2, 0), engine=(4, 0), hog=(105, 0), far=(15, 1), ksoftirqd=(8, 0)),
    )
    assert use.share == pytest.approx(0.5)
    assert use.most == "hog (pid 20)"


def test_the_cores_are_those_on_which_engines_ran_and_not_all() -> None:
    """One busy loop beside the engine is half of its core, however many cores the machine has."""
    use = beside(
        sample(0, [0] * 64, us=(0, 5), engine=(0, 3), hog=(0, 3)),
        sample(10, [10 * (core == 3) for core in range(64)], us=(0, 5), engine=(5, 3), hog=(5, 3)),
    )
    assert use.share == pytest.approx(0.5)


def test_the_engine_that_is_disturbed_most_counts() -> None:
    use = beside(
        sample(0, [0, 0], us=(0, 0), engine=(0, 0), other_engine=(0, 1), hog=(0, 1)),
        sample(10, [5, 10], us=(0, 0), engine=(5, 0), other_engine=(4, 1), hog=(6, 1)),
        engines=[11, 12],
    )
    assert use.share == pytest.approx(0.6)


def test_processes_that_end_between_two_samples_count() -> None:
    use = beside(sample(0, [0, 0], us=(0, 0), engine=(0, 0)), sample(10, [10, 0], us=(0, 0), engine=(2, 0)))
    assert use.share == pytest.approx(0.8)
    assert use.most == "processes that ended soon"


def test_our_own_processes_that_end_between_two_samples_do_not_count() -> None:
    use = beside(
        sample(0, [0, 0], us=(0, 1), engine=(0, 0)),
        sample(10, [8, 0], us=(0, 0), engine=(2, 0), reaped_s=6),
    )
    assert use.share == 0


def test_what_an_ended_child_had_used_before_is_not_subtracted_again() -> None:
    use = beside(
        sample(0, [100, 0], us=(0, 0), engine=(0, 0), server=(90, 0)),
        sample(10, [110, 0], us=(0, 0), engine=(2, 0), reaped_s=91),
    )
    assert use.share == pytest.approx(0.7)


def test_a_process_of_ours_that_changes_its_core_is_not_taken_for_another() -> None:
    use = beside(
        sample(0, [0, 0], us=(0, 0), engine=(0, 0), server=(0, 0)),
        sample(10, [9, 4], us=(0, 0), engine=(5, 0), server=(8, 1)),
    )
    assert use.share == 0


def test_time_taken_by_the_hypervisor_counts() -> None:
    use = beside(
        sample(0, [0], us=(1, 0), engine=(0, 0), stolen_s=1), sample(10, [0], us=(1, 0), engine=(0, 0), stolen_s=6)
    )
    assert use.share == pytest.approx(0.5)
    assert use.most == "the hypervisor"


def test_an_idle_machine_has_no_other_use() -> None:
    use = beside(sample(0, [5, 5], us=(1, 0), engine=(1, 0)), sample(10, [14, 5], us=(5, 0), engine=(6, 0)))
    assert (use.share, use.most) == (0.0, "none")


SPIN = "import time; end = time.monotonic() + {s}\nwhile time.monotonic() < end: pass"
FORKS = "import subprocess, sys\nwhile True: subprocess.run([sys.executable, '-c', 'for _ in range(300000): pass'])"


@pytest.mark.parametrize(("code", "least"), [(SPIN.format(s=30), 0.2), (FORKS, 0.2)], ids=["loop", "short-lived"])
def test_a_busy_neighbour_on_a_real_core_is_found_and_our_own_work_is_not(code: str, least: float) -> None:
    core = {min(os.sched_getaffinity(0))}

    def pinned(script: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", script], preexec_fn=lambda: os.sched_setaffinity(0, core))

    with pinned(SPIN.format(s=30)) as engine, pinned(code) as neighbour:
        try:
            shares = []
            for ours in ([engine.pid], [engine.pid, neighbour.pid]):
                watch = QuietWatch(lambda ours=ours: ours)  # type: ignore[misc]
                watch.begin([engine.pid])
                for _ in range(3):
                    time.sleep(0.6)
                    watch.look()
                use = watch.end()
                assert use is not None
                shares.append(use.share)
        finally:
            neighbour.kill()
            engine.kill()
    assert shares[0] > least  # a third or a half, as this machine's other processes allow
    assert shares[1] < shares[0] + 0.1  # other processes of this machine may need the core more in the second part
