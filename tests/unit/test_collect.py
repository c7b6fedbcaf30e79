"""`loadgen collect`: results that machines still hold are added to the record."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.fleet.collect import SpoolFile, SpoolOnHost, collect, events_of, sources_of
from coordinator.record.document import unfinished
from coordinator.record.frames import frames
from coordinator.record.writer import INTERVALS, RecordWriter
from loadgen.host.frames import encode
from loadgen.measure.cells import Cell
from loadgen.measure.events import AgentEvent, EngineLost, event_from_wire, event_to_wire
from loadgen.measure.together import Snapshots
from loadgen.model.errors import PlanError
from tests.support import results
from tests.support.snapshots import cell, snapshot, tallies, tally

SNAPSHOTS = [snapshot("c07/0", interval) for interval in range(5)]


def spool(*events: AgentEvent) -> bytes:
    return b"".join(encode(event_to_wire(event)) for event in events)


def record(directory: Path, kept: int, torn: bytes = b"") -> Path:
    with RecordWriter(directory, unfinished(results.header())) as writer:
        writer.append(SNAPSHOTS[:kept])
    with (directory / INTERVALS).open("ab") as file:
        file.write(torn)
    return directory


def fetch(run: Path, data: bytes, tmp_path: Path) -> tuple[int, str]:
    (tmp_path / "c07.spool").write_bytes(data)
    (found,) = asyncio.run(collect(run, ["c07/0"], [SpoolFile("c07", tmp_path / "c07.spool")]))
    return found.intervals, found.problem


@pytest.mark.parametrize("torn", [b"", b"\x85\xa6worker"])
def test_missing_intervals_are_added_once(tmp_path: Path, torn: bytes) -> None:
    run = record(tmp_path / "run", 2, torn)
    data = spool(*SNAPSHOTS, EngineLost("c07/0", "killed by signal 9"))
    assert fetch(run, data, tmp_path) == (3, "")
    assert list(frames(run)) == SNAPSHOTS
    assert fetch(run, data, tmp_path) == (0, "")
    assert list(frames(run)) == SNAPSHOTS


@pytest.mark.parametrize(
    ("worker", "cpu_ns", "why"),
    [("c09/0", 0, "c09/0 had no part"), ("c07/0", 7, "has something else of c07/0 in interval 1")],
    ids=["worker", "numbers"],
)
def test_a_spool_of_another_run_changes_nothing(tmp_path: Path, worker: str, cpu_ns: int, why: str) -> None:
    run = record(tmp_path / "run", 2)
    health = replace(SNAPSHOTS[1].health, cpu_ns=cpu_ns)
    other = [replace(one, worker=worker, health=health) for one in SNAPSHOTS[1:]]
    added, problem = fetch(run, spool(*other), tmp_path)
    assert added == 0
    assert "is not of this run, " in problem
    assert why in problem
    assert list(frames(run)) == SNAPSHOTS[:2]


@pytest.mark.parametrize("cells", [{(0, 0): cell(1, response_ms=1)}, {}], ids=["cells", "none"])
def test_intervals_recorded_together_and_with_larger_numbers_are_equal(
    tmp_path: Path, cells: dict[tuple[int, int], Cell]
) -> None:
    mine = snapshot("c07/0", 0, cells, (tally(0, 0),))
    other = snapshot("c08/0", 0, {(60_000, 300): cell(70_000, response_ms=20_000)}, (tally(0, 1),))
    wires = [Snapshots.of([one]).to_wire() for one in (mine, other)]
    with RecordWriter(tmp_path / "run", unfinished(results.header())) as writer:
        writer.append([Snapshots.from_wires(wires)])
    data = spool(event_from_wire(event_to_wire(Snapshots.of([mine]))))
    assert fetch(tmp_path / "run", data, tmp_path) == (0, "")


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_an_interval_that_was_reported_twice_is_added_in_order(tmp_path: Path, kept: int) -> None:
    """A segment that ends inside an interval reports this interval; the end of the interval reports it again."""
    both = [replace(SNAPSHOTS[0], tallies=tallies(tally(0, 0, ok=ok))) for ok in (1, 2)]
    with RecordWriter(tmp_path / "run", unfinished(results.header())) as writer:
        writer.append(both[:kept])
    assert fetch(tmp_path / "run", spool(*both), tmp_path) == (2 - kept, "")
    assert fetch(tmp_path / "run", spool(*both), tmp_path) == (0, "")
    assert list(frames(tmp_path / "run")) == both


def test_complete_frames_of_a_cut_spool_are_used(tmp_path: Path) -> None:
    run = record(tmp_path / "run", 0)
    assert fetch(run, spool(*SNAPSHOTS)[:-7], tmp_path) == (4, "")


def test_a_file_that_is_no_spool_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    run = record(tmp_path / "run", 2)
    added, problem = fetch(run, b"\0\0\0\3abc", tmp_path)
    assert (added, problem.partition(":")[0]) == (0, "this is not a spool of loadgen")
    assert list(frames(run)) == SNAPSHOTS[:2]
    (found,) = asyncio.run(collect(run, ["c07/0"], [SpoolFile("c08", tmp_path / "nothing")]))
    assert "cannot be read: No such file" in found.problem


def test_a_spool_of_many_chunks_is_read_completely() -> None:
    many = [snapshot("c07/0", interval) for interval in range(9000)]
    data = spool(*many)
    assert len(data) > 4 << 20
    assert len(events_of(data)) == 9000


def test_hosts_are_asked_for_spools_in_their_own_directory() -> None:
    fleet = replace(results.three_machines(80), hosts=({"name": "c07", "user": "alice"}, {"name": "c09"}))
    (source,) = sources_of(fleet)  # the other host was never part of this run
    assert isinstance(source, SpoolOnHost)
    assert source.host.user == "alice"
    assert source.host.spool == "/home/alice/.local/state/loadgen/spool"
    assert source.run_id == fleet.run_id


def test_hosts_are_reached_together_so_that_one_sshd_gets_a_few_connections_at_a_time() -> None:
    fleet = replace(results.three_machines(80), hosts=({"name": "c07"}, {"name": "c08"}))
    sources = [source for source in sources_of(fleet) if isinstance(source, SpoolOnHost)]
    assert len(sources) == 2
    assert sources[0].connect is sources[1].connect


@pytest.mark.parametrize(("way", "message"), [("local", "nothing to collect"), ("join", "not reached by SSH")])
def test_a_run_without_reachable_hosts_is_reported(way: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        sources_of(replace(results.three_machines(80), way=way))
