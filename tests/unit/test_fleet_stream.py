"""Results from machines: in any order and with any damage, they are read completely and once, or raise ValueError."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.fleet.stream import Stream
from loadgen.agent import messages
from loadgen.agent.chunk import MAX_CHUNK_BYTES, Chunk, hash_of
from loadgen.agent.messages import Heartbeat, read_clock, read_known, read_machine, read_refusal
from loadgen.host import frames
from loadgen.measure.events import (
    AgentEvent,
    CoresShared,
    EngineLost,
    SegmentBegan,
    SegmentEnded,
    event_from_wire,
    event_to_wire,
)
from loadgen.model.errors import FleetError, PlanError, TargetError
from tests.support.snapshots import snapshot

EVENTS: tuple[AgentEvent, ...] = (
    SegmentBegan("a/0", 0, 17),
    snapshot("a/0", 0, {}),
    snapshot("a/1", 0, {}),
    SegmentEnded("a/0", 0, "complete"),
    CoresShared("a", 0.25, "cc1"),
    EngineLost("a/1", "killed by signal 9"),
)
SPOOL = b"".join(frames.encode(event_to_wire(event)) for event in EVENTS)


def piece(offset: int, size: int, spoil: int = -1) -> Chunk:
    """Return a piece of the spool; with `spoil`, one bit of that byte is wrong."""
    data = bytearray(SPOOL[offset : offset + size])
    digest = hash_of(offset, bytes(data))
    if data and spoil >= 0:
        data[spoil % len(data)] ^= 1
    return Chunk(offset=offset, data=bytes(data), sha256=digest)


anywhere = st.integers(0, len(SPOOL))
in_order = st.lists(anywhere, max_size=8).map(
    lambda cuts: [(a, b - a, -1) for a, b in itertools.pairwise([0, *sorted(cuts), len(SPOOL)])]
)
pieces = st.tuples(st.none() | anywhere, anywhere, st.just(-1) | anywhere)  # None: the next piece


@given(
    deliveries=st.one_of(
        st.lists(pieces, max_size=12),
        in_order.flatmap(st.permutations),  # all pieces, in any order
        st.tuples(in_order, st.lists(pieces, max_size=4)).flatmap(lambda both: st.permutations(both[0] + both[1])),
    ),
    pull=st.integers(1, 2 * len(SPOOL)),
)
def test_any_pieces_followed_by_pulls_give_every_byte_once(
    deliveries: list[tuple[int | None, int, int]], pull: int
) -> None:
    stream = Stream()
    got: list[AgentEvent] = []
    for offset, size, spoil in deliveries:
        got += map(event_from_wire, stream.take(piece(stream.received if offset is None else offset, size, spoil)))
        assert got == list(EVENTS[: len(got)])
    stream.announce(len(SPOOL))
    assert stream.missing_bytes == len(SPOOL) - stream.received
    while stream.missing_bytes:
        got += map(event_from_wire, stream.take(piece(stream.received, pull)))
    assert got == list(EVENTS)
    assert (stream.received, stream.announced) == (len(SPOOL), len(SPOOL))


def test_a_piece_of_another_place_is_refused() -> None:
    stream = Stream()
    displaced = Chunk(offset=0, data=SPOOL[10:20], sha256=hash_of(10, SPOOL[10:20]))
    assert list(stream.take(displaced)) == []
    assert stream.received == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"\xff\xff\xff\xff", "frame of 4294967295 bytes"),
        (b"\0\0\0\1\xc1", "unpacked"),
        (b"\0\0\0\2\x01\x02", "unpacked"),
        (b"\0\0\0\1\x01", "mapping"),
        (frames.encode({"is": "joke"}), "joke"),
        (frames.encode({"is": "began", "worker": "a/0", "segment": -1, "at_ns": 1}), "segment"),
    ],
)
def test_invalid_frames_are_refused_after_the_valid_ones_before(body: bytes, said: str) -> None:
    data = SPOOL + body
    events = map(event_from_wire, Stream().take(Chunk(offset=0, data=data, sha256=hash_of(0, data))))
    assert [next(events) for _ in EVENTS] == list(EVENTS)
    with pytest.raises(ValueError, match=said):
        next(events)


@given(data=st.binary(max_size=200), at=st.integers(0, len(SPOOL)), cut=st.integers(0, 40))
def test_garbage_with_a_right_hash_is_a_value_error_or_events(data: bytes, at: int, cut: int) -> None:
    spoilt = SPOOL[:at] + data + SPOOL[at + cut :]
    with contextlib.suppress(ValueError):
        whole = Chunk(offset=0, data=spoilt, sha256=hash_of(0, spoilt))
        list(map(event_from_wire, Stream().take(whole)))


HEARTBEAT: dict[str, Any] = {
    "machine": "a",
    "seq": 3,
    "at_ns": 10**18,
    "heard": [5, 10**18 - 7],
    "state": "playing",
    "engines": 2,
    "cpu_share": 0.5,
    "spool_bytes": len(SPOOL),
    "chunk": {"offset": 0, "data": SPOOL, "sha256": hash_of(0, SPOOL)},
    "log": ["engine 0: hello"],
    "log_dropped": 0,
    "problem": "",
}
HELLO: dict[str, Any] = {
    "workers": ["a/0", "a/1"],
    "cores": 2,
    "open_files": 1024,
    "memory_bytes": 2**34,
    "kernel": "6.18",
    "python": "3.11.7",
    "loadgen": "0.1.0",
    "distributed": "2026.8.0",
    "sysctls": {"net.core.somaxconn": "4096"},
    "spool": "/var/spool",
    "spool_free_bytes": 10**12,
    "pid": 7,
    "at_ns": 1,
}


def test_a_heartbeat_is_read() -> None:
    heartbeat = Heartbeat.from_wire({**HEARTBEAT, "log": ["\x1b[2J\x07hello"], "cpu_share": None})
    assert heartbeat.chunk is not None
    assert list(map(event_from_wire, Stream().take(heartbeat.chunk))) == list(EVENTS)
    assert heartbeat.log == (" [2J hello",)  # a machine must not write control characters to the user's terminal
    assert Heartbeat.from_wire({**HEARTBEAT, "chunk": None}).chunk is None


def test_lines_beyond_a_thousand_are_counted() -> None:
    heartbeat = Heartbeat.from_wire({**HEARTBEAT, "log": ["x" * 5000] * 1003, "log_dropped": 4})
    assert (len(heartbeat.log), len(heartbeat.log[0]), heartbeat.log_dropped) == (1000, 4096, 7)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("machine", ""),
        ("machine", 7),
        ("seq", -1),
        ("at_ns", 2**63),
        ("heard", 5),
        ("heard", [5]),
        ("heard", [5, -1]),
        ("heard", [2**63, 5]),
        ("heard", [1, 2.5]),
        ("heard", [True, 1]),
        ("state", "lost"),  # only the coordinator may say this
        ("state", "asleep"),
        ("engines", True),
        ("cpu_share", float("nan")),
        ("cpu_share", -0.1),
        ("cpu_share", 10**400),
        ("cpu_share", "much"),
        ("spool_bytes", 1.5),
        ("chunk", {}),
        ("chunk", {**HEARTBEAT["chunk"], "offset": -1}),
        ("chunk", {**HEARTBEAT["chunk"], "data": "text"}),
        ("chunk", {**HEARTBEAT["chunk"], "data": bytes(MAX_CHUNK_BYTES + 1)}),
        ("chunk", {**HEARTBEAT["chunk"], "sha256": b"x"}),
        ("log", "line"),
        ("log", [b"line"]),
        ("problem", None),
    ],
)
def test_an_invalid_heartbeat_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"field|chunk|text"):
        Heartbeat.from_wire({**HEARTBEAT, field: value})


def test_the_description_of_a_machine_is_read() -> None:
    machine = read_machine(HELLO, "a", "tcp://192.0.2.1:7")
    assert machine.workers == ("a/0", "a/1")
    assert machine.address == "tcp://192.0.2.1:7"


@pytest.mark.parametrize(
    "workers", [[], ["b/0"], ["a/1"], ["a/0", "a/0"], ["a/0", 7], "a/0", [f"a/{i}" for i in range(5000)]]
)
def test_a_machine_can_only_name_its_own_engines(workers: object) -> None:
    with pytest.raises(ValueError, match=r"workers|text"):
        read_machine({**HELLO, "workers": workers}, "a", "")


@pytest.mark.parametrize(("whose", "kind"), [("fleet", FleetError), ("target", TargetError), ("plan", PlanError)])
def test_the_error_of_a_refusal_depends_on_its_cause(whose: str, kind: type[Exception]) -> None:
    error = read_refusal({"failed": {"whose": whose, "message": "no\nroom", "hint": "make some"}})
    assert type(error) is kind
    assert (error.message, error.hint) == ("no room", "make some")
    assert read_refusal({}) is None


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=40)
    | st.sampled_from(["ready", "a", "a/0", "fleet", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
READERS = (
    Heartbeat.from_wire,
    Chunk.from_wire,
    lambda wire: read_machine(wire, "a", ""),
    read_clock,
    read_known,
    read_refusal,
)
SAMPLES: tuple[dict[str, Any], ...] = (
    HEARTBEAT,
    HELLO,
    HEARTBEAT["chunk"],
    {"at_ns": 1, "known": True},
    {"failed": {"whose": "fleet", "message": "", "hint": ""}},
)


def spoilt(wire: dict[str, Any], data: st.DataObject) -> Any:
    """Return `wire` with a value at any depth, or the whole value, replaced by garbage."""
    where = data.draw(st.sampled_from([None, *wire]))
    if where is None:
        return data.draw(junk)
    inner = wire[where]
    if isinstance(inner, dict) and data.draw(st.booleans()):
        return {**wire, where: spoilt(inner, data)}
    if data.draw(st.booleans()):
        return {name: value for name, value in wire.items() if name != where}
    return {**wire, where: data.draw(junk)}


@settings(max_examples=300)
@given(data=st.data())
def test_any_message_is_read_or_a_value_error(data: st.DataObject) -> None:
    wire = spoilt(data.draw(st.sampled_from(SAMPLES)), data)
    for read in READERS:
        with contextlib.suppress(ValueError):
            read(wire)


@given(text=st.text())
def test_any_remote_text_becomes_one_printable_line(text: str) -> None:
    assert messages.clean(text).isprintable()
    messages.clean(text).encode()
