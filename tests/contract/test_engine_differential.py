"""The Python engine is the definition: the compiled engine gives equal results for any stream from a server."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray

from loadgen.engine.api import Assignment, Load, Segment
from loadgen.engine.http1 import DONE, MORE
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from tests.support.engines import MakeEngine, compiled_engine, needs_compiled, python_engine, records_kept
from tests.support.readers import CompiledReading, PythonReading, Reading
from tests.support.streams import make_stream, stream_tape

pytestmark = needs_compiled

STREAMS = 1_000
SEED = 20_26
BYTEWISE = 60  # streams that are also sent byte by byte over sockets
ALL_CUTS_BYTES = 700  # a longer stream is cut at every byte only near its beginning and its end

TAPE = stream_tape(STREAMS)
STREAM = [make_stream(row, SEED) for row in range(STREAMS)]


def cuts(stream: bytes) -> Iterator[int]:
    """The positions at which `stream` is cut in two."""
    if len(stream) <= ALL_CUTS_BYTES:
        yield from range(1, len(stream))
    else:
        yield from range(1, 60)
        yield from range(len(stream) - 60, len(stream))


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def test_the_streams_are_of_every_kind() -> None:
    reading = PythonReading(TAPE)
    read = [reading.read(row, [stream]) for row, stream in enumerate(STREAM)]
    results = {one.result for one in read}
    assert {DONE, Outcome.MALFORMED, Outcome.HEAD_TOO_LARGE, Outcome.CLOSED_EARLY, Outcome.NO_REPLY} <= results
    assert {Outcome.OK, Outcome.BAD_CONTENT, Outcome.BAD_LENGTH} <= {one.verdict for one in read}
    assert {True, False} == {one.cookie_right for one in read}
    assert sum(one.result == DONE and one.verdict == Outcome.OK for one in read) > STREAMS // 8


def test_both_readers_agree_on_a_thousand_streams_cut_at_every_byte() -> None:
    ours, theirs = PythonReading(TAPE), CompiledReading(TAPE)
    for row, stream in enumerate(STREAM):
        assert theirs.read(row, [stream]) == ours.read(row, [stream]), (row, stream)
        assert theirs.read(row, [stream], close=False) == ours.read(row, [stream], close=False), (row, stream)
        for cut in cuts(stream):
            pieces = [stream[:cut], stream[cut:]]
            assert theirs.read(row, pieces) == ours.read(row, pieces), (row, cut, stream)


def test_both_readers_agree_on_streams_that_arrive_byte_by_byte() -> None:
    ours, theirs, skips = PythonReading(TAPE), CompiledReading(TAPE), CompiledReading(TAPE, skipping=True)
    for row, stream in enumerate(STREAM):
        if len(stream) > ALL_CUTS_BYTES and row % 5:
            continue  # long streams take most of the time
        expected = ours.read(row, bytewise(stream))
        assert theirs.read(row, bytewise(stream)) == expected, (row, stream)
        skipped = skips.read(row, bytewise(stream))
        assert skipped == expected, (row, stream)


@pytest.mark.parametrize("chunk", [64, 4096, 70_000, 500_000])
def test_both_readers_give_up_an_endless_body_at_the_same_byte(chunk: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = (b"%x\r\n" % chunk + b"." * chunk + b"\r\n") * (80_000 // chunk if chunk < 80_000 else 1)
    for row, step in itertools.product(range(5), (1_000, 65_000, len(body))):
        stream = head + body
        pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
        readings: list[Reading] = [PythonReading(TAPE), CompiledReading(TAPE)]
        ours, theirs = (one.read(row, pieces, close=False) for one in readings)
        assert ours == theirs
        assert (ours.result == MORE) == (row == 4)  # an unchecked body has no limit


class StreamServer:
    """Answers /i with stream i, and closes if the client would wait for more.  `all_asked` is set by the last row."""

    def __init__(self, rows: int, *, in_bytes: bool) -> None:
        reading = PythonReading(TAPE)
        self._pieces = [bytewise(stream) if in_bytes else [stream] for stream in STREAM[:rows]]
        read = [reading.read(row, pieces, close=False) for row, pieces in enumerate(self._pieces)]
        self._closes = [one.result == MORE for one in read]
        if in_bytes:  # a surplus byte that arrives late may be read as the beginning of the next reply
            self._pieces = [pieces[: one.fed] for pieces, one in zip(self._pieces, read, strict=True)]
        self._rows = rows
        self._tasks: set[asyncio.Task[None]] = set()
        self.all_asked = asyncio.Event()

    async def __aenter__(self) -> StreamServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        row = int((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1][1:])
        if row == self._rows:
            self.all_asked.set()
            await asyncio.sleep(60)
        for piece in self._pieces[row]:
            writer.write(piece)
            await asyncio.sleep(0)
        return not self._closes[row]


def played(make: MakeEngine, rows: int, monkeypatch: pytest.MonkeyPatch, *, in_bytes: bool) -> NDArray[np.void]:
    """The records of one connection that plays `rows` streams, in order."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with StreamServer(rows, in_bytes=in_bytes) as server:
            load = Load(line_bps=0, bound=Bound.rate(320_000), timeout_ns=5 * NS_PER_S, error_rest_ns=0)
            assignment = Assignment(
                worker="w",
                shard=Shard((0,)),
                targets=(Target(name="t", host="127.0.0.1", port=server.port),),
                shares=(1,),
                tape=stream_tape(rows + 1),
                load=load,
            )
            engine = make(assignment, loop, lambda segment, why: None)
            start, end = time.monotonic_ns(), time.monotonic_ns() + 30 * NS_PER_S
            engine.renew(end)
            engine.start(
                Segment(index=0, origin_ns=start, start_ns=start, window_start_ns=start, window_end_ns=end, end_ns=end)
            )
            await asyncio.wait_for(server.all_asked.wait(), 20)
            engine.stop()

    with records_kept(monkeypatch) as kept:
        uvloop.run(scenario())
    records = np.concatenate(kept)
    assert records["row"].tolist() == list(range(rows + 1))  # the last operation is cut
    return records[:rows]


def columns(records: NDArray[np.void], *names: str) -> list[tuple[int, ...]]:
    return [tuple(int(record[name]) for name in names) for record in records]


def test_both_engines_write_equal_records_of_a_thousand_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = played(python_engine, STREAMS, monkeypatch, in_bytes=False)
    theirs = played(compiled_engine, STREAMS, monkeypatch, in_bytes=False)
    names = ("row", "outcome", "bytes", "flags")
    assert columns(theirs, *names) == columns(ours, *names)
    assert len(set(ours["outcome"].tolist())) >= 8


def test_both_engines_judge_streams_equally_that_arrive_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of bytes received of a wrong reply is not compared: it depends on timing."""
    ours = played(python_engine, BYTEWISE, monkeypatch, in_bytes=True)
    theirs = played(compiled_engine, BYTEWISE, monkeypatch, in_bytes=True)
    assert columns(theirs, "row", "outcome") == columns(ours, "row", "outcome")


def test_a_tape_with_an_index_out_of_range_is_refused() -> None:
    from loadgen.engine.compiled.player import arrays_of

    for name in ("line", "rest", "cookie", "literal", "check", "next", "target"):
        ops = TAPE.ops.copy()
        ops[name][3] = 1_000_000
        with pytest.raises(ValueError, match="out of range of its table"):
            arrays_of(dataclasses.replace(TAPE, ops=ops), 1)
