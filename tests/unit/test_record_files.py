from __future__ import annotations

import contextlib
import datetime
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.record import reader
from coordinator.record.connections import CONNECTION_DTYPE
from coordinator.record.document import finished, unfinished
from coordinator.record.frames import Frames
from coordinator.record.header import Header, RecordError
from coordinator.record.kinds import KIND_SPEC, KIND_SWEEP
from coordinator.record.writer import CONNECTIONS, INTERVALS, RUN, RecordWriter, claim_directory
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import snapshots_of
from loadgen.verdict.result import RunResult
from tests.support import results
from tests.support.snapshots import snapshot

HEADER = results.header()
SWEEP = results.sweep_header()
START = unfinished(HEADER)
END = finished(HEADER, results.run_result(), finished_at="2026-02-03T04:06:30+00:00")
NO_CONNECTIONS = np.zeros(0, CONNECTION_DTYPE)
SNAPSHOTS = [snapshot(worker, interval) for interval in range(4) for worker in ("a", "b")]


def test_a_record_reads_back(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "run", START) as writer:
        for at in range(0, len(SNAPSHOTS), 2):
            writer.append(SNAPSHOTS[at : at + 2])
        writer.finish(END, NO_CONNECTIONS)
        assert writer.problems == ()
    record = reader.load(tmp_path / "run")
    assert record.finished
    assert record.result() == results.run_result()
    assert record.header == HEADER
    assert list(record.measured) == SNAPSHOTS
    assert sorted(p.name for p in record.path.iterdir()) == [CONNECTIONS, INTERVALS, RUN]
    with np.load(record.path / CONNECTIONS) as file:
        assert file["connections"].dtype == CONNECTION_DTYPE


def test_the_path_of_run_json_is_accepted(tmp_path: Path) -> None:
    RecordWriter(tmp_path / "run", END).close()
    assert reader.load(tmp_path / "run" / RUN).path == tmp_path / "run"


def test_a_record_is_readable_from_its_first_moment(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "run", START):
        record = reader.load(tmp_path / "run")
    assert not record.finished
    assert list(record.measured) == []


def test_an_unfinished_run_is_judged_by_its_recorded_intervals(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "run", START) as writer:
        writer.append(SNAPSHOTS)
    with (tmp_path / "run" / INTERVALS).open("ab") as file:
        file.write(b"\x85\xa6worker")
    seen: list[Snapshot] = []

    def judge(header: Header[Any], snapshots: Iterable[Snapshot]) -> RunResult:
        assert header == HEADER
        seen.extend(snapshots)
        return results.interrupted_result()

    result, how = reader.recover(reader.load(tmp_path / "run"), judge)
    assert seen == SNAPSHOTS
    assert result == results.interrupted_result()
    assert how == (
        "the run was cut off before it wrote its result; the last 8 bytes are an incomplete interval and are left out"
    )


def test_a_sweep_s_record(tmp_path: Path) -> None:
    with RecordWriter(tmp_path, unfinished(SWEEP, results.sweep(0))) as writer:
        assert reader.load(tmp_path).result().points == ()
        point = results.sweep().points[0]
        with RecordWriter(tmp_path / point.record, START) as own:
            own.finish(END, NO_CONNECTIONS)
        writer.rewrite(unfinished(SWEEP, results.sweep(1)))
    record = reader.load(tmp_path)
    assert record.is_of_runs
    assert not record.finished
    assert record.result() == results.sweep(1)
    assert reader.load(tmp_path / point.record).finished


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_cut_of_the_intervals_leaves_the_complete_ones(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    packed = [msgpack.packb(item.to_wire()) for item in SNAPSHOTS[:3]]
    whole = b"".join(packed)
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("cut") / INTERVALS
    path.write_bytes(whole[:cut])
    frames = Frames(path, snapshots_of)
    ends = [sum(map(len, packed[: n + 1])) for n in range(3)]
    complete = sum(end <= cut for end in ends)
    assert list(frames) == SNAPSHOTS[:complete]
    assert frames.torn_bytes == cut - ([0, *ends][complete])


@given(garbage=st.binary(min_size=1, max_size=200))
@settings(max_examples=200, deadline=None)
def test_garbage_after_the_intervals_is_ignored(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / INTERVALS
    path.write_bytes(msgpack.packb(SNAPSHOTS[0].to_wire()) + garbage)
    frames = Frames(path, snapshots_of)
    assert list(frames) == SNAPSHOTS[:1]
    assert frames.torn_bytes == len(garbage)


def test_sigkill_during_a_write_loses_no_complete_interval(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from coordinator.record.document import unfinished
        from coordinator.record.writer import RecordWriter
        from tests.support import results
        from tests.support.snapshots import snapshot

        writer = RecordWriter(Path(sys.argv[1]), unfinished(results.header()))
        for interval in range(1_000_000):
            writer.append([snapshot("a", interval), snapshot("b", interval)])
            print(interval, flush=True)
    """)
    run = tmp_path / "run"
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program, str(run)], stdout=subprocess.PIPE, text=True, cwd=root
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= 20:
                break
        child.send_signal(signal.SIGKILL)
        acknowledged = max([20, *(int(line) for line in child.stdout if line.endswith("\n"))])
    record = reader.load(run)
    kept = list(record.measured)
    assert not record.finished
    assert len(kept) >= 2 * (acknowledged + 1)
    assert [(item.worker, item.interval) for item in kept] == [(w, i) for i in range(len(kept)) for w in "ab"][
        : len(kept)
    ]


@pytest.fixture
def small_files() -> Iterator[int]:
    """Limit the size of files in bytes: the writer takes this limit for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = len(json.dumps(START, indent=2)) + 100
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_the_record_but_not_the_run(tmp_path: Path, small_files: int) -> None:
    many = SNAPSHOTS * 4
    fitting = small_files // len(msgpack.packb(many[0].to_wire()))
    assert 0 < fitting < len(many)
    with RecordWriter(tmp_path / "run", START) as writer:
        for item in many:
            writer.append([item])
        writer.finish(END, NO_CONNECTIONS)
        assert writer.problems == (
            "the record ends early: intervals.msgpack: File too large",
            "the record is incomplete: run.json: File too large",
        )
    record = reader.load(tmp_path / "run")
    assert not record.finished
    frames = record.measured
    assert list(frames) == many[:fitting]
    assert frames.torn_bytes == 0
    assert not [p for p in record.path.iterdir() if p.name.startswith(".")]


def test_an_already_full_disk_is_a_one_line_error(tmp_path: Path, small_files: int) -> None:
    with pytest.raises(RecordError, match=r"the record cannot be written to .*/run: File too large") as caught:
        RecordWriter(tmp_path / "run", START | {"notes": ["x" * small_files]})
    assert "--out" in caught.value.hint
    assert not (tmp_path / "run").exists()


def test_a_directory_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RecordError, match="the directory is not empty"):
        RecordWriter(tmp_path, START)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_directory_is_used(tmp_path: Path) -> None:
    RecordWriter(tmp_path, START).close()
    assert (tmp_path / RUN).exists()


def test_an_existing_file_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="Not a directory"):
        RecordWriter(tmp_path / "file" / "run", START)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_parent_is_a_one_line_error(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(RecordError, match="Permission denied"):
        RecordWriter(tmp_path / "run", START)


def test_an_unwritable_file_system_is_a_one_line_error() -> None:
    with pytest.raises(RecordError, match="the record cannot be written to /proc/run"):
        RecordWriter(Path("/proc/run"), START)


def test_default_directories_do_not_collide(tmp_path: Path) -> None:
    at = datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    names = []
    for _ in range(3):
        path = claim_directory(at, tmp_path / "runs")
        RecordWriter(path, START).close()
        names.append(path.name)
    assert names == ["2026-02-03T04-05-06-spec", "2026-02-03T04-05-06-spec-2", "2026-02-03T04-05-06-spec-3"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a record"),
        ("[1]", "is not a record of loadgen$"),
        ('{"name": "package"}', "is not a record of loadgen$"),
        ('{"schema_version": 1, "kind": "curl"}', "is not a record of loadgen$"),
        ('{"schema_version": 1, "kind": "iperf"}', "is a record of loadgen iperf, not of loadgen spec"),
        ('{"schema_version": 99, "kind": "spec"}', r"newer loadgen \(schema 99; this version reads up to 1\)"),
        ('{"schema_version": 1, "kind": "spec"}', r"is damaged: Object missing required field `started_at`$"),
        ("\x00\xff", "is not a record"),
    ],
)
def test_a_foreign_file_is_a_one_line_error(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / RUN).write_bytes(text.encode("latin-1"))
    with pytest.raises(RecordError, match=says):
        reader.load(tmp_path, KIND_SPEC, KIND_SWEEP)


def test_a_missing_record_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"there is no record: .* does not exist"):
        reader.load(tmp_path / "nowhere")


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from _paths(item, (*at, key))


ONE = finished(results.header(1), results.run_result(1, shorts=(0,)), finished_at="2026-02-03T04:06:30+00:00")
PATHS = list(_paths(ONE))


@given(
    path=st.sampled_from(PATHS), put=st.one_of(st.none(), st.integers(), st.text(max_size=3), st.just([]), st.just({}))
)
@settings(max_examples=300, deadline=None)
def test_a_damaged_document_raises_only_record_errors(
    tmp_path_factory: pytest.TempPathFactory, path: tuple[Any, ...], put: object
) -> None:
    document = json.loads(json.dumps(ONE))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = put
    file = tmp_path_factory.mktemp("damaged") / RUN
    file.write_text(json.dumps(document))
    with contextlib.suppress(RecordError):
        record = reader.load(file)
        assert record.document == document
        record.result()


def test_a_pipe_in_a_record_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / INTERVALS)
    with pytest.raises(RecordError, match=rf"{INTERVALS} is not a regular file$"):
        list(Frames(tmp_path / INTERVALS, snapshots_of))
    os.mkfifo(tmp_path / RUN)
    with pytest.raises(RecordError, match=rf"{RUN} is not a regular file$"):
        reader.load(tmp_path)


def test_a_pipe_that_the_user_names_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writing = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(json.dumps(END)))
    writing.start()
    try:
        assert reader.load(tmp_path / "pipe").header == HEADER
    finally:
        writing.join()
