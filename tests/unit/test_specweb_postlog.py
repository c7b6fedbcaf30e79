"""The POST log: its records, and the laws that its check enforces."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.specweb99 import postlog, urls
from workloads.specweb99.postlog import PostCounts, PostRecord, check, header

RECORDS = st.builds(
    PostRecord,
    number=st.integers(0, 10**10 - 1),
    time_s=st.integers(0, 10**10 - 1),
    pid=st.integers(0, 10**10 - 1),
    directory=st.integers(0, 99_999),
    class_=st.integers(0, 99),
    num=st.integers(0, 99),
    client=st.integers(0, 10**10 - 1),
    name=st.from_regex(r"[!-~]{0,60}", fullmatch=True),
    pid_again=st.integers(0, 10**10 - 1),
    user_id=st.integers(0, 10**10 - 1),
)


def records(classes: list[int]) -> list[PostRecord]:
    return [
        PostRecord(
            number=i + 1,
            time_s=1_800_000_000 + i,
            pid=77,
            directory=i % 38,
            class_=class_,
            num=i % 9,
            client=i,
            name=urls.file_path(i % 38, class_, i % 9),
            pid_again=77,
            user_id=10_000,
        )
        for i, class_ in enumerate(classes)
    ]


def log_of(of: list[PostRecord]) -> bytes:
    return header(len(of)) + b"".join(record.to_bytes() for record in of)


def counts(classes: list[int]) -> PostCounts:
    each = tuple(classes.count(class_) for class_ in range(4))
    return PostCounts(ok=each, attempted=each)


@given(RECORDS)
def test_a_record_has_139_bytes_and_reads_back(record: PostRecord) -> None:
    raw = record.to_bytes()
    assert len(raw) == 139
    assert raw.endswith(b"\n")
    assert PostRecord.parse(raw) == record


def test_a_record_has_the_published_form() -> None:
    text = records([0, 2])[1].to_bytes().decode()
    assert text == (
        "         2 1800000001         77     1  2  1          1 "
        + "/file_set/dir00001/class2_1".ljust(60)
        + "         77      10000\n"
    )


@given(st.binary(max_size=300))
def test_garbage_is_not_a_record(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        PostRecord.parse(b"x" + raw)


@given(st.lists(st.integers(0, 3), max_size=40))
def test_a_log_of_all_posts_in_order_is_correct(classes: list[int]) -> None:
    report = check(log_of(records(classes)), counts(classes))
    assert report.ok, report.problems
    assert report.records == len(classes)
    assert report.logged == counts(classes).ok


@given(st.binary(max_size=700))
def test_a_missing_log_fails_the_check(log: bytes) -> None:
    report = check(log, PostCounts(ok=(0,) * 4, attempted=(9,) * 4))
    assert report.ok == (log == header(0))  # no other text of that length is a log


def problem(of: list[PostRecord], classes: list[int]) -> str:
    report = check(log_of(of), counts(classes))
    assert not report.ok
    return " / ".join(p.text for p in report.problems)


def test_each_fault_is_named() -> None:
    classes = [0, 1, 2, 3, 1]
    good = records(classes)
    swapped = [good[0], good[2], good[1], *good[3:]]
    assert "has number 2 after number 3" in problem(swapped, classes)
    twice = [*good[:2], replace(good[2], number=2), *good[3:]]
    assert "has number 2 after number 2" in problem(twice, classes)
    torn = [replace(good[0], pid_again=78), *good[1:]]
    assert "begun by process 77 and ended by process 78" in problem(torn, classes)
    elsewhere = [replace(good[0], name="/etc/passwd"), *good[1:]]
    assert "'/etc/passwd'" in problem(elsewhere, classes)
    other = [replace(good[0], num=8), *good[1:]]
    assert "names '/file_set/dir00000/class0_0', but directory 0, class 0, file 8" in problem(other, classes)


def test_a_log_of_the_wrong_length_is_named() -> None:
    classes = [0, 1]
    whole = log_of(records(classes))
    for log in (whole + b"x", whole[:-1], whole[:-139], header(3) + whole[11:], header(1) + whole[11:]):
        assert not check(log, counts(classes)).ok, log
    assert "does not begin" in check(b"", counts([])).problems[0].text


def test_a_server_may_not_log_more_than_was_sent() -> None:
    log = log_of(records([1] * 10))
    assert check(log, PostCounts(ok=(0, 8, 0, 0), attempted=(0, 10, 0, 0))).ok
    report = check(log, PostCounts(ok=(0, 8, 0, 0), attempted=(0, 9, 0, 0)))
    assert [p.text for p in report.problems] == ["the log has 10 POSTs of class 1, but only 9 were sent"]
    assert check(log, PostCounts(ok=(0, 8, 0, 0), attempted=None)).ok
    assert not check(log, PostCounts(ok=(1, 8, 0, 0), attempted=None)).ok


@pytest.mark.parametrize(("logged", "ok"), [(100, True), (99, True), (98, False), (0, False)])
def test_a_server_may_lack_one_per_cent_of_a_class(logged: int, ok: bool) -> None:
    log = log_of(records([2] * logged))
    assert check(log, PostCounts(ok=(0, 0, 100, 0), attempted=(0, 0, 100, 0))).ok is ok


def test_evidence_is_limited_and_counted() -> None:
    classes = [0] * 100
    report = check(log_of([replace(r, pid=1) for r in records(classes)]), counts(classes))
    assert report.problem_count == 100
    assert len(report.problems) == 20
    assert report.problems[0].record == 1


def test_the_empty_log_is_correct() -> None:
    assert check(postlog.EMPTY, counts([])).ok
