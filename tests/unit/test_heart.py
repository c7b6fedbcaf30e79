"""A machine's reports about itself: heartbeats, log lines, versions, load."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.agent.facts import CpuMeter, busy_and_all, compare_versions
from loadgen.agent.heart import CHUNK_BYTES, UNACKNOWLEDGED_BYTES, Heart, next_beat_ns
from loadgen.agent.logtail import LogTail
from loadgen.agent.messages import Heartbeat
from loadgen.model.errors import FleetError
from loadgen.model.machine import MachineState

SPOOL = bytes(range(256)) * (12 << 12)  # 12 MB


def beat(heart: Heart, length: int = len(SPOOL), spool: bytes = SPOOL) -> dict[str, Any]:
    return heart.beat(
        at_ns=5,
        state=MachineState.PLAYING,
        engines=3,
        cpu_share=0.25,
        spool_bytes=length,
        read=lambda offset, size: spool[offset : min(offset + size, length)],
        log=(["a line"], 2),
        problem="",
    )


def test_the_coordinator_can_read_a_heartbeat() -> None:
    heart = Heart("m")
    beat(heart, 0)
    wire = beat(heart, 10)
    digest = hashlib.sha256(bytes(8) + SPOOL[:10]).hexdigest()
    assert wire["chunk"] == {"offset": 0, "data": SPOOL[:10], "sha256": digest}
    read = Heartbeat.from_wire(wire)
    assert (read.machine, read.seq, read.at_ns, read.state, read.engines) == ("m", 2, 5, MachineState.PLAYING, 3)
    assert (read.cpu_share, read.spool_bytes, read.log, read.log_dropped) == (0.25, 10, ("a line",), 2)
    assert read.chunk is not None
    assert read.chunk.intact
    assert Heartbeat.from_wire(beat(heart, 10)).chunk is None


def test_each_renewal_is_acknowledged_once() -> None:
    heart = Heart("m")
    heart.hear(1, 2)
    heart.hear(3, 4)
    assert [Heartbeat.from_wire(beat(heart)).heard for _ in range(2)] == [(3, 4), None]


def test_no_chunk_is_sent_when_too_much_is_in_transit() -> None:
    heart = Heart("m")
    sent = 0
    while (chunk := beat(heart)["chunk"]) is not None:
        assert (chunk["offset"], len(chunk["data"])) == (sent, CHUNK_BYTES)
        sent += CHUNK_BYTES
    assert UNACKNOWLEDGED_BYTES < sent <= UNACKNOWLEDGED_BYTES + CHUNK_BYTES
    assert not heart.has_more(len(SPOOL))
    heart.acknowledge(CHUNK_BYTES)
    assert heart.has_more(len(SPOOL))
    assert beat(heart)["chunk"]["offset"] == sent


def test_data_that_the_coordinator_fetched_is_not_sent_again() -> None:
    heart = Heart("m", chunk_bytes=4)
    beat(heart, 10)
    heart.acknowledge(7)
    heart.acknowledge(2)  # an old renewal that was late
    assert beat(heart, 10)["chunk"]["data"] == SPOOL[7:10]


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=20), chunk=st.integers(1, 20))
def test_every_byte_is_sent_once_and_in_order(steps: list[tuple[int, float]], chunk: int) -> None:
    heart, length, sent = Heart("m", chunk), 0, b""
    for grown, share in steps:
        length += grown
        if (piece := beat(heart, length)["chunk"]) is not None:
            assert piece["offset"] == len(sent)
            sent += piece["data"]
        heart.acknowledge(int(len(sent) * share))
    while (piece := beat(heart, length)["chunk"]) is not None:
        sent += piece["data"]
    assert sent == SPOOL[:length]


def test_an_unreadable_spool_sends_nothing() -> None:
    heart = Heart("m")
    assert beat(heart, 10, spool=b"")["chunk"] is None
    assert beat(heart, 10)["chunk"]["data"] == SPOOL[:10]


@settings(deadline=None)
@given(now=st.integers(0, 1 << 50), origin=st.integers(0, 1 << 50))
def test_a_heartbeat_is_sent_after_the_engines_have_reported(now: int, origin: int) -> None:
    due = next_beat_ns(now, origin)
    assert now < due <= now + 10**9
    assert (due - origin) % 10**9 == 10**8


def test_log_lines_are_limited() -> None:
    tail = LogTail()
    logger = logging.getLogger("loadgen-test-of-logtail")
    logger.propagate = False
    logger.addHandler(tail)
    logger.info("not this")
    logger.warning("a %s\nof two lines", "warning", exc_info=OSError("broken"))
    assert tail.take() == (["loadgen-test-of-logtail: a warning of two lines (OSError: broken)"], 0)
    for i in range(250):
        tail.add(f"{i} " + "x" * 1000)
    lines, dropped = tail.take()
    assert (len(lines), dropped, {len(line) for line in lines}) == (200, 50, {500})
    assert lines[0].startswith("0 x")
    assert tail.take() == ([], 0)
    logger.removeHandler(tail)


VERSIONS = {"loadgen": "1.2", "python": "3.11.7", "distributed": "2026.8.0"}


def test_equal_versions_are_accepted() -> None:
    compare_versions(VERSIONS, VERSIONS)


@pytest.mark.parametrize("python", ["3.11.2", "3.12.1", "3.13.0"])
def test_python_may_differ(python: str) -> None:
    compare_versions(VERSIONS, {**VERSIONS, "python": python})


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"loadgen": "1.3"}, "it has loadgen 1.2, the coordinator has 1.3"),
        ({"distributed": "2026.9"}, "it has distributed 2026.8.0, the coordinator has 2026.9"),
    ],
)
def test_another_version_is_refused(asked: dict[str, str], text: str) -> None:
    with pytest.raises(FleetError) as caught:
        compare_versions(VERSIONS, {**VERSIONS, **asked})
    assert caught.value.message == text
    with pytest.raises(FleetError, match="the coordinator has none"):
        compare_versions(VERSIONS, {})


def test_the_load_of_a_machine_is_computed(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    meter = CpuMeter(tmp_path)
    assert meter.read() is None
    stat.write_text("cpu  100 0 50 800 50 0 0 0 100 0\ncpu0 1 2 3\n")
    assert meter.read() is None
    stat.write_text("cpu  150 0 70 820 60 0 0 0 150 0\n")
    assert meter.read() == pytest.approx(0.7)
    assert meter.read() is None  # no time has passed
    with pytest.raises((ValueError, IndexError)):
        busy_and_all("rubbish")
