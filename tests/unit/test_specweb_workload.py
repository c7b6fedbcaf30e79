"""The SPECweb99-style workload behind its interface: what servers must have, and when a POST log is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from workloads.api import Sent
from workloads.specweb99 import files, mix, page, postlog
from workloads.specweb99.workload import PostLogCheck, Specweb99

CHECK = PostLogCheck("/reset")


def fetched(posts: int) -> bytes:
    """Return the reply to Fetch of a server that logged `posts` POSTs of class 0."""
    record = postlog.PostRecord(
        number=0,
        time_s=1,
        pid=7,
        directory=0,
        class_=0,
        num=0,
        client=1,
        name="/file_set/dir00000/class0_0",
        pid_again=7,
        user_id=10_000,
    )
    log = postlog.header(posts) + b"".join(_numbered(record, number) for number in range(1, posts + 1))
    return page.render(log, software="", remote="", script="", query="")


def _numbered(record: postlog.PostRecord, number: int) -> bytes:
    return b"%10d" % number + record.to_bytes()[10:]


def sent(ok: int, bad: int = 0, *, complete: bool = True) -> Sent:
    """Return POSTs of class 0 among other operations."""
    counts = np.full((len(mix.KINDS), len(mix.GROUPS), 3), 9, np.int64)
    counts[:, mix.POST, :] = 0
    counts[0, mix.POST, :2] = ok, bad
    return Sent(counts, complete)


def test_a_log_that_matches_the_requests_is_accepted() -> None:
    assert CHECK.problems(fetched(5), sent(5)) == []
    assert CHECK.problems(fetched(6), sent(5, bad=1)) == []
    assert CHECK.passed([sent(5), sent(6)]) == "11 POSTs, all logged, all in order"


@pytest.mark.parametrize("logged", [4, 6])
def test_a_log_with_fewer_or_more_records_is_rejected(logged: int) -> None:
    (problem,) = CHECK.problems(fetched(logged), sent(5))
    assert problem.startswith(f"the log has {logged} POSTs of class 0, but")


def test_unreported_requests_of_a_lost_engine_do_not_count_against_a_server() -> None:
    assert CHECK.problems(fetched(6), sent(5, complete=False)) == []
    assert CHECK.problems(fetched(4), sent(5, complete=False))


def test_a_log_with_many_problems_names_some_and_counts_the_others() -> None:
    problems = CHECK.problems(fetched(50).replace(b"class0_0", b"class0_1"), sent(50))
    assert problems[0].startswith("record 1 ")
    assert problems[-1] == "31 problems more"


def test_connections_are_opened_in_proportion_to_the_line_speed() -> None:
    slow, fast = (Specweb99().connects_per_s(SpecPlan(line_bps=bps)) for bps in (400_000, 4_000_000))
    assert slow == mix.CONNECTS_PER_S
    assert fast == 10 * slow


def test_the_file_set_suits_the_server_with_the_most_connections() -> None:
    targets = tuple(Target(name=name, host="::1", port=at, weight=at) for at, name in enumerate("ab", start=1))
    needed = Specweb99().files(SpecPlan(vms=2, targets=targets, connections=300))
    assert needed.directories == files.directories(400)
    assert needed.extent == f"{needed.directories} directories"
    assert needed.size_bytes == needed.directories * files.DIRECTORY_BYTES
    assert needed.proof_path == f"/{files.name(needed.directories - 1, 0, 0)}"
