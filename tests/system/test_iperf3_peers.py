"""The probe against real `iperf3`, in both roles, and the probe's process as the coordinator uses it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loadgen.host import frames
from loadgen.measure.throughput import ProbeResult, Tick
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.probe import Direction, Kind, ProbeTest, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.api import ProbeError
from tests.support.lab import needs_iperf3
from tests.support.probes import HOST, probe, run, serving, short, stock_client, stock_server, until

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def stock() -> Iterator[int]:
    with stock_server() as port:
        yield port


async def against(stock: int, test: ProbeTest) -> ProbeResult:
    """Run a test against a stock server; repeats it while the server is busy, or listens anew, just after a test."""
    for _ in range(100):
        try:
            return await probe(test, stock)
        except ProbeError as error:
            if not any(words in error.message for words in ("is busy", "before it said anything")):
                raise
            await asyncio.sleep(0.02)
    raise AssertionError("the server stays busy")


# The client of loadgen with a stock server


@needs_iperf3
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("parallel", [1, 2])
def test_a_stock_server_is_measured_in_every_direction(stock: int, direction: Direction, parallel: int) -> None:
    test = short(direction=direction, parallel=parallel, rate_bps=40_000_000, duration_ns=400 * NS_PER_MS)
    result = run(lambda: against(stock, test))
    assert result.peer == ""
    assert len(result.streams) == parallel * (2 if direction is Direction.BIDIR else 1)
    for stream in result.streams:
        assert stream.received_bps == pytest.approx(40_000_000, rel=0.25)
        assert stream.received_bytes <= stream.sent_bytes
        assert stream.retransmits >= 0
    assert result.remote_cpu_ns > 0


@needs_iperf3
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_stock_server_receives_every_byte_of_a_limit(stock: int, parallel: int) -> None:
    """A stock server stops reading when it receives the end, and may not have read anything until then.

    So the limit is larger than all that can wait in the sockets' buffers.
    """
    limit = 128 * MEGABYTE + 1
    result = run(lambda: against(stock, short(limit_bytes=limit, parallel=parallel, window_bytes=256 * 1024)))
    assert sum(stream.sent_bytes for stream in result.streams) == limit
    received = sum(stream.received_bytes for stream in result.streams)
    assert limit - parallel * 8 * MEGABYTE < received <= limit


@needs_iperf3
@pytest.mark.parametrize("direction", Direction)
def test_a_stock_server_is_measured_over_udp(stock: int, direction: Direction) -> None:
    test = short(transport=Transport.UDP, direction=direction, rate_bps=4_000_000, block_bytes=1000, parallel=2)
    result = run(lambda: against(stock, test))
    for stream in result.streams:
        assert stream.packets * 1000 == stream.received_bytes > 0
        assert stream.lost == 0
        assert stream.jitter_ns >= 0


@needs_iperf3
def test_a_stock_server_omits_whole_seconds(stock: int) -> None:
    test = short(omit_ns=NS_PER_S // 2, duration_ns=500 * NS_PER_MS, rate_bps=40_000_000, window_bytes=65536)
    result = run(lambda: against(stock, test))
    (stream,) = result.streams
    assert stream.received_bps == pytest.approx(40_000_000, rel=0.25)
    assert stream.received_ns == pytest.approx(NS_PER_S // 2, rel=0.25)
    assert [tick.omitted for tick in result.ticks][:2] == [True, False]
    assert result.local_granted.receive_bytes == 131072


@needs_iperf3
def test_a_stock_server_does_not_support_request_response(stock: int) -> None:
    for kind in (Kind.RR, Kind.CRR):
        with pytest.raises(ProbeError, match="stock iperf3, which has no request/response"):
            run(partial(against, stock, short(kind=kind)))


@needs_iperf3
def test_a_busy_stock_server_is_recognised(stock: int) -> None:
    async def scenario() -> None:
        first = asyncio.create_task(against(stock, short(duration_ns=400 * NS_PER_MS)))
        await asyncio.sleep(0.15)
        with pytest.raises(ProbeError, match="busy with another test"):
            await probe(short(), stock)
        await first

    run(scenario)


# A stock client with the server of loadgen


def streams_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    assert "error" not in document, document["error"]
    streams: list[dict[str, Any]] = document["end"]["streams"]
    return streams


@needs_iperf3
@pytest.mark.parametrize(
    "arguments",
    [("-n", "2M"), ("-n", "2M", "-P", "3", "-w", "64K"), ("-n", "2M", "-R"), ("-k", "20", "-l", "64K"),
     ("-k", "20", "-l", "64K", "-R"), ("-n", "2M", "-b", "200M"), ("-n", "2M", "-N", "-M", "1000", "-C", "reno"),
     ("-n", "1M", "--bidir", "-P", "2"), ("-n", "1M", "--get-server-output")],
    ids=" ".join,
)  # fmt: skip
def test_a_stock_client_is_served(arguments: Sequence[str]) -> None:
    async def scenario() -> tuple[dict[str, Any], list[Any]]:
        async with serving() as served:
            document = await stock_client(served.port, *arguments)
            return document, await served.until_served(1)

    document, (test,) = run(scenario)
    streams = streams_of(document)
    assert test.ended == "done"
    received = 0
    for stream in streams:
        sender, receiver = stream["sender"], stream["receiver"]
        # The bytes that the server counts as received are those that the client reports as sent.  In the other
        # direction, the client counts the bytes that it had read at the limit, and the server its sent bytes.
        if sender["sender"]:
            assert receiver["bytes"] == sender["bytes"] > 0
            received += receiver["bytes"]
        else:
            assert sender["bytes"] >= receiver["bytes"]
            assert receiver["bytes"] > 0 or "--bidir" in arguments  # the client may have sent enough before
    assert test.received_bytes == received
    if "--get-server-output" in arguments:
        assert "Mbit/s" in document["server_output_text"]
    if "-P" in arguments:
        assert len(streams) == int(arguments[arguments.index("-P") + 1]) * (2 if "--bidir" in arguments else 1)


@needs_iperf3
@pytest.mark.parametrize("direction", ["", "-R", "--bidir"])
def test_a_stock_udp_client_is_served(direction: str) -> None:
    arguments = ["-u", "-t", "1", "-b", "4M", "-l", "1000", "-P", "2", *([direction] if direction else [])]

    async def scenario() -> dict[str, Any]:
        async with serving() as served:
            return await stock_client(served.port, *arguments)

    for stream in streams_of(run(scenario)):
        udp = stream["udp"]
        assert udp["lost_packets"] == 0
        assert udp["packets"] * 1000 == udp["bytes"]
        assert udp["bits_per_second"] == pytest.approx(4_000_000, rel=0.1)


@needs_iperf3
def test_four_simultaneous_stock_clients_have_correct_separate_results() -> None:
    wanted = {
        ("-n", "1M"): MEGABYTE,
        ("-n", "2M", "-P", "2"): 2 * MEGABYTE,
        ("-u", "-n", "100K", "-l", "1000", "-b", "8M"): 102_400,
        ("-t", "1", "-R", "-b", "8M"): 1_000_000,
    }

    async def scenario() -> tuple[list[dict[str, Any]], list[Any]]:
        async with serving() as served:
            documents = await asyncio.gather(*(stock_client(served.port, *arguments) for arguments in wanted))
            return documents, await served.until_served(4)

    documents, tests = run(scenario)
    assert [test.ended for test in tests] == ["done"] * 4
    for document, bytes_wanted in zip(documents, wanted.values(), strict=True):
        streams = streams_of(document)
        ends = [stream["udp"] if "udp" in stream else stream["receiver"] for stream in streams]
        assert sum(end["bytes"] for end in ends) == pytest.approx(bytes_wanted, rel=0.2)
        if "udp" not in streams[0] and streams[0]["sender"]["sender"]:
            assert sum(end["bytes"] for end in ends) == sum(stream["sender"]["bytes"] for stream in streams)


@needs_iperf3
def test_a_stock_client_that_omits_is_served() -> None:
    async def scenario() -> dict[str, Any]:
        async with serving() as served:
            return await stock_client(served.port, "-t", "1", "-O", "1", "-b", "8M", "-l", "10000")

    (stream,) = streams_of(run(scenario))
    assert stream["receiver"]["bytes"] == pytest.approx(stream["sender"]["bytes"], rel=0.1)
    assert stream["receiver"]["seconds"] == pytest.approx(1, rel=0.1)


@needs_iperf3
def test_a_stock_client_receives_the_reason_of_a_refusal() -> None:
    async def scenario() -> tuple[dict[str, Any], dict[str, Any]]:
        async with serving(streams=2) as served:
            many = await stock_client(served.port, "-n", "1M", "-P", "3")
        async with serving(tests=1) as served:
            first = asyncio.create_task(probe(short(duration_ns=600 * NS_PER_MS), served.port))
            await until(lambda: served.server.counters.connections > 0)
            busy = await stock_client(served.port, "-n", "1M")
            await first
        return many, busy

    many, busy = run(scenario)
    assert "number of parallel streams too large" in many["error"]
    assert "the server is busy" in busy["error"]


@needs_iperf3
def test_a_killed_stock_client_ends_only_its_own_test() -> None:
    async def scenario() -> str:
        async with serving() as served:
            process = await asyncio.create_subprocess_exec(
                "iperf3", "-c", HOST, "-p", str(served.port), "-P", "3", stdout=asyncio.subprocess.DEVNULL
            )
            await until(lambda: served.server.counters.connections == 4)
            await asyncio.sleep(0.1)
            process.kill()
            await process.wait()
            (test,) = await served.until_served(1)
            return str(test.ended)

    assert "control connection" in run(scenario)


# The process


class Child:
    """`python -m loadgen.probe.process`, used as the coordinator uses it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def send(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(frames.encode(message))

    async def next(self, *kinds: str) -> dict[str, Any]:
        """Return the next message of one of these kinds; other messages are skipped."""
        assert self.process.stdout is not None
        while (message := await asyncio.wait_for(frames.receive(self.process.stdout), 10)) is not None:
            if message["is"] in kinds:
                return message
        raise AssertionError("it has ended")


@asynccontextmanager
async def child() -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "loadgen.probe.process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    one = Child(process)
    try:
        hello = await one.next("hello")
        assert hello["pid"] == process.pid
        yield one
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            assert await asyncio.wait_for(process.wait(), 20) == 0
        finally:
            if process.returncode is None:  # a failure must not block the other tests
                process.kill()
                await process.wait()


def test_the_process_serves_and_runs_tests() -> None:
    async def scenario() -> None:
        async with child() as server, child() as client:
            server.send(do="serve", host=HOST, port=0)
            port = (await server.next("listening"))["port"]
            test = short(direction=Direction.BIDIR, limit_bytes=MEGABYTE)
            client.send(do="run", id=1, test=to_plain(test), host=HOST, port=port)
            tick = from_plain(Tick, (await client.next("tick"))["tick"])
            assert tick.end_ns > 0
            answer = await client.next("result", "failed")
            assert answer["id"] == 1
            result = from_plain(ProbeResult, answer["result"])
            assert result.test == test
            assert result.received_bytes() == 2 * MEGABYTE
            client.send(do="run", id=2, test=to_plain(short(duration_ns=20 * NS_PER_S)), host=HOST, port=port)
            client.send(do="run", id=3, test=to_plain(short()), host=HOST, port=port)
            assert (await client.next("failed"))["message"] == "another test is still running"
            await client.next("tick")
            client.send(do="stop")
            answer = await client.next("result", "failed")
            assert (answer["id"], answer["result"]["cut"]) == (2, "it was interrupted")
            client.send(do="run", id=4, test={**to_plain(short()), "parallel": 0}, host=HOST, port=port)
            failed = await client.next("failed")
            assert (failed["id"], failed["whose"]) == (4, "plan")
            client.send(do="run", id=5, test=to_plain(short()), host=HOST, port=1)
            client.send(do="stop")
            failed = await client.next("failed")
            assert (failed["id"], failed["whose"]) in [(5, "stopped"), (5, "target")]
            client.send(do="run", id=6, test=to_plain(short()), host=HOST, port=1)
            failed = await client.next("failed")
            assert (failed["id"], failed["whose"]) == (6, "target")
            client.send(do="ask", id=7, host=HOST, port=1)
            failed = await client.next("failed")
            assert (failed["id"], failed["whose"]) == (7, "target")
            server.send(do="serve", host=HOST, port=port)
            failed = await server.next("failed")
            assert failed["whose"] == "plan"

    run(scenario)


def test_the_process_ends_with_its_input_during_a_test() -> None:
    async def scenario() -> None:
        async with serving() as served:
            async with child() as client:
                test = to_plain(short(duration_ns=60 * NS_PER_S))
                client.send(do="run", id=1, test=test, host=HOST, port=served.port)
                await client.next("tick")
            tests = await served.until_served(1)
            assert tests[0].ended == "it broke the test off"

    run(scenario)


def test_the_process_ends_with_its_parent() -> None:
    """Even when its input stays open, the process ends when its parent is killed."""
    program = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-m', 'loadgen.probe.process'], stdin=0, stdout=subprocess.PIPE)\n"
        "p.stdout.read(4)\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )

    async def scenario() -> None:
        read, write = os.pipe()
        try:
            parent = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                program,
                stdin=read,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
            assert parent.stdout is not None
            pid = int(await asyncio.wait_for(parent.stdout.readline(), 10))
            parent.send_signal(signal.SIGKILL)
            await parent.wait()
            await until(lambda: not Path(f"/proc/{pid}").exists())
        finally:
            os.close(read)
            os.close(write)

    run(scenario)
