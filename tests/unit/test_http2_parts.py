"""The parts of HTTP/2 without sockets: frames, requests, error codes, remarks, placement, plans."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from h2.errors import ErrorCodes
from hypothesis import given
from hypothesis import strategies as st

from coordinator.kinds.http.kind import HttpKind, title
from loadgen.engine.api import EngineKind
from loadgen.engine.choice import choose_for
from loadgen.engine.http2.codes import error_name
from loadgen.engine.http2.frames import MAX_PAYLOAD_BYTES, FrameError, Frames, read_goaway
from loadgen.engine.http2.requests import Request
from loadgen.engine.remarks import Remarks
from loadgen.model.errors import FleetError, PlanError
from loadgen.model.http2 import MAX_STREAMS, slots_of
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.sending import Timestamps
from loadgen.schedule.placement import Placement
from tests.support.http2_server import frame
from workloads.http.compile import compile_http

SETTINGS = frame(4, 0, b"")
REQUESTS = (HttpRequest(url="http://127.0.0.1:1/"), HttpRequest(url="https://127.0.0.1:2/", weight=3))


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=40)), max_size=6),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_frames_are_the_same_however_the_bytes_arrive(sent: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    data = SETTINGS + b"".join(frame(*one) for one in sent)
    frames, found = Frames(), []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for low, high in itertools.pairwise(edges):
        found += list(frames.take(data[low:high]))
    assert found == [(4, 0, SETTINGS), *((kind, stream, frame(kind, stream, load)) for kind, stream, load in sent)]
    assert frames.unfinished == (0, 0)


def test_the_stream_of_an_unfinished_frame_is_known() -> None:
    frames = Frames()
    assert list(frames.take(SETTINGS + frame(0, 5, b"12345678")[:12])) == [(4, 0, SETTINGS)]
    assert frames.unfinished == (5, 12)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "answers with HTTP/1"),
        (b"HTTP/1.", "answers with HTTP/1"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP/2"),
        (frame(6, 0, bytes(8)), "does not speak HTTP/2"),
        (SETTINGS + (MAX_PAYLOAD_BYTES + 1).to_bytes(3, "big") + bytes(6), "16,385 bytes, where at most 16,384"),
    ],
)
def test_what_is_not_http2_is_told_at_once(data: bytes, said: str) -> None:
    with pytest.raises(FrameError, match=said):
        list(Frames().take(data))


def test_a_goaway_is_read_or_refused() -> None:
    assert read_goaway(frame(7, 0, b"\x80\x00\x00\x05\x00\x00\x00\x0bwhy")) == (5, 11)
    for wrong in (frame(7, 0, b"short"), frame(7, 1, bytes(8))):
        with pytest.raises(FrameError):
            read_goaway(wrong)


def test_a_request_of_http1_becomes_one_of_http2() -> None:
    rest = (
        b"User-Agent: loadgen\r\nConnection: X-Gone, close\r\nTE: trailers\r\nKeep-Alive: 5\r\n"
        b"Content-Length: 7\r\n\r\na\r\n\r\nb!"
    )
    request = Request.of(b"POST /a?b=c HTTP/1.1\r\n" + rest, b"h:80", tls=True)
    assert request.fields == (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"h:80"),
        (b":path", b"/a?b=c"),
        (b"user-agent", b"loadgen"),
        (b"content-length", b"7"),
    )
    assert request.body == b"a\r\n\r\nb!"
    assert not request.idempotent
    get = Request.of(b"GET / HTTP/1.1\r\nHost: other\r\n\r\n", b"h:80", tls=False)
    assert get.fields[1:3] == ((b":scheme", b"http"), (b":authority", b"other"))
    assert get.body == b""
    assert get.idempotent
    assert Request.of(b"GET / HTTP/1.1\r\n\r\n", b"h:80", tls=False).fields[4:] == ()


def test_error_codes_in_words() -> None:
    assert error_name(ErrorCodes.HTTP_1_1_REQUIRED) == "HTTP_1_1_REQUIRED (the server wants HTTP/1.1: omit --http2)"
    assert error_name(ErrorCodes.STREAM_CLOSED) == "STREAM_CLOSED"
    assert error_name(77) == "the unknown code 0x4d"


def test_remarks_are_counted_and_bounded() -> None:
    remarks = Remarks()
    for number in range(100):
        remarks.add("often")
        remarks.add(str(number))
    taken = remarks.take()
    assert taken["often"] == 100
    assert len(taken) == 32
    assert remarks.take() == {}


def test_the_streams_of_a_connection_stay_together() -> None:
    placement = Placement(("a", "b"), np.array([0, 1, 0], np.int32)).of_streams(2)
    assert placement.shard("a").connections == (0, 1, 4, 5)
    assert placement.shard("b").connections == (2, 3)


def test_a_plan_of_streams() -> None:
    plan = HttpPlan(requests=REQUESTS, connections=4, http2=True, streams=5)
    assert plan.shares == [1, 3]
    assert slots_of(plan.shares, plan.streams) == [5, 15]
    assert compile_http(plan).starts.shape == (1, 20)
    kind = HttpKind()
    assert kind.load(plan, 0, 1).streams == 5
    assert (kind.demand(plan).shares, kind.demand(plan).streams) == ((1, 3), 5)  # ports and files are for connections
    assert kind.asked(plan, plan.targets).connections == 20
    assert title(plan).endswith("4 connections x 5 streams (HTTP/2)")
    assert HttpPlan.from_dict(plan.to_dict()) == plan


def test_a_plan_of_http1_is_printed_as_before() -> None:
    plan = HttpPlan(requests=REQUESTS)
    assert not {"http2", "streams"} & plan.to_dict().keys()
    assert HttpKind().load(plan, 0, 1).streams == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"streams": 2}, "only HTTP/2 has several streams"),
        ({"http2": True, "streams": 0}, "must be 1 to 10,000, got 0"),
        ({"http2": True, "streams": MAX_STREAMS + 1}, "must be 1 to 10,000, got 10,001"),
        ({"http2": True, "keepalive": False}, "cannot be combined with --no-keepalive"),
        ({"http2": True, "proxy": "http://192.0.2.9:3128"}, "cannot be combined with --proxy"),
        ({"http2": True, "engine": EngineKind.COMPILED}, "only the Python engine speaks HTTP/2"),
    ],
)
def test_plans_that_cannot_be_played(fields: dict[str, object], said: str) -> None:
    with pytest.raises(PlanError, match=said) as raised:
        HttpPlan(requests=REQUESTS, **fields)  # type: ignore[arg-type]
    assert "\n" not in raised.value.message
    if "combined" in said:
        assert raised.value.hint.startswith("omit --http2")


def test_the_python_engine_is_chosen_and_said() -> None:
    load = HttpKind().load(HttpPlan(requests=REQUESTS[:1], http2=True), 0, 1)
    choice = choose_for(load, tls=False)
    assert (choice.kind, choice.timestamps) == (EngineKind.PYTHON, Timestamps.LOOP)
    assert choice.why == "only the Python engine speaks HTTP/2"
    kernel = HttpKind().load(HttpPlan(requests=REQUESTS[:1], http2=True, timestamps=Timestamps.KERNEL), 0, 1)
    with pytest.raises(FleetError, match="kernel"):
        choose_for(kernel, tls=False)
