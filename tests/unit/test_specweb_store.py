"""The POST log as a file: records are appended atomically and numbered, by any number of processes."""

from __future__ import annotations

import threading
from pathlib import Path

from workloads.specweb99 import postlog
from workloads.specweb99.store import PostLog


def record(class_: int) -> postlog.PostRecord:
    return postlog.PostRecord(
        number=0,
        time_s=1_800_000_000,
        pid=77,
        directory=3,
        class_=class_,
        num=1,
        client=5,
        name=f"/file_set/dir00003/class{class_}_1",
        pid_again=77,
        user_id=10_000,
    )


def test_simultaneous_appends_are_complete_and_in_order(tmp_path: Path) -> None:
    def append(class_: int) -> None:
        log = PostLog(tmp_path)
        for _ in range(300):
            log.append(record(class_))

    threads = [threading.Thread(target=append, args=(class_,)) for class_ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = (300,) * 4
    report = postlog.check(PostLog(tmp_path).read(), postlog.PostCounts(ok=counts, attempted=counts))
    assert report.ok, report.problems
    assert report.records == 1200


def test_a_writer_that_died_before_counting_loses_only_its_post(tmp_path: Path) -> None:
    log = PostLog(tmp_path)
    log.append(record(0))
    with (tmp_path / "post.log").open("ab") as file:
        file.write(record(1).to_bytes()[:70])
    log.append(record(2))
    counts = (1, 0, 1, 0)
    report = postlog.check(log.read(), postlog.PostCounts(ok=counts, attempted=counts))
    assert report.ok, report.problems


def test_a_missing_log_is_empty_and_reset_empties_a_log(tmp_path: Path) -> None:
    log = PostLog(tmp_path)
    assert log.read() == postlog.EMPTY
    log.append(record(0))
    log.reset()
    assert log.read() == (tmp_path / "post.log").read_bytes() == postlog.EMPTY
