from __future__ import annotations

import dataclasses
import io
import os
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.live import LiveView
from coordinator.output.terminal.network_live import NetworkScreen, open_network_view
from coordinator.output.terminal.plain import PlainView
from coordinator.output.terminal.progress import Progress
from loadgen.measure.throughput import UNKNOWN, Tick
from loadgen.model.probe import Kind
from tests.support.networks import progress
from tests.support.unread import a_terminal

texts = st.text(st.characters(exclude_categories=["C", "Z", "M"]), max_size=90)
numbers = st.integers(-1, 1 << 45)
ticks = st.builds(
    Tick,
    start_ns=st.just(0),
    end_ns=st.integers(0, 10**10),
    omitted=st.booleans(),
    sent_bytes=st.integers(0, 1 << 45),
    received_bytes=st.integers(0, 1 << 45),
    retransmits=numbers,
    rtt_ns=numbers,
    cwnd_bytes=numbers,
    packets=numbers,
    lost=numbers,
)
moments = st.builds(
    Progress,
    title=texts,
    step=st.integers(0, 400),
    steps=st.integers(1, 400),
    label=texts,
    kind=st.sampled_from(Kind),
    elapsed_s=st.floats(0, 1e5),
    total_s=st.floats(0, 1e5),
    ticks=st.lists(ticks, max_size=20).map(tuple),
    finished=st.lists(st.tuples(texts, st.floats(-1, 1e6)), max_size=60).map(tuple),
    notices=st.lists(texts, max_size=6).map(tuple),
)


def lines(view: Progress, width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in NetworkScreen(view).lines(width, height, ascii_only=False)]


@given(view=moments, width=st.integers(1, 200), height=st.integers(2, 80), ascii_only=st.booleans())
def test_everything_fits_any_terminal(view: Progress, width: int, height: int, ascii_only: bool) -> None:
    drawn = NetworkScreen(view).lines(width, height, ascii_only=ascii_only)
    assert 0 < len(drawn) < height
    assert max(line.cell_len for line in drawn) <= width
    if ascii_only and (view.title + view.label).isascii():
        assert "".join(line.plain for line in drawn[:2]).isascii()


def test_the_newest_finished_tests_are_shown() -> None:
    many = dataclasses.replace(progress(), finished=tuple((f"test {n}", float(n)) for n in range(400)))
    text = "\n".join(lines(many))
    assert "test 399" in text
    assert "test 0 " not in text
    assert "of finished tests: tests 3" in text
    assert "-400 of 400" in text
    assert "tests: " not in "\n".join(lines(progress(4)))


def test_a_warm_up_is_labelled() -> None:
    view = progress()
    warm = dataclasses.replace(view, ticks=(dataclasses.replace(view.ticks[0], omitted=True),))
    assert any("warm-up, not counted" in line for line in lines(warm))
    assert not any("warm-up" in line for line in lines(view))


def test_a_test_without_a_rate_has_a_dash() -> None:
    assert any("rr 1/4  -" in line for line in lines(dataclasses.replace(progress(), finished=(("rr 1/4", -1.0),))))


def test_lines_keep_their_places_when_a_test_begins() -> None:
    view = progress()
    waiting = lines(dataclasses.replace(view, ticks=()))
    running = lines(view)
    assert waiting.index(" Mbit/s of finished tests") == running.index(" Mbit/s of finished tests")


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([0, 0], "  "), ([1, 2, 4, 8], "▂▃▅█"), ([5, 5], "██"), ([1e-9, 1], "▁█"), ([-3, 3], " █")],
)
def test_the_height_of_a_sparkline_follows_its_values(values: list[float], drawn: str) -> None:
    assert fmt.sparkline(values, ascii_only=False) == drawn
    assert cell_len(fmt.sparkline(values, ascii_only=True)) == len(values)


def test_the_live_view_is_for_terminals_only() -> None:
    with a_terminal() as ends, os.fdopen(ends.inner, "w", encoding="utf-8", closefd=False) as stream:
        kinds: tuple[tuple[TextIO, type], ...] = ((stream, LiveView), (io.StringIO(), PlainView))
        for file, kind in kinds:
            with open_network_view(Console(file=file, _environ={"TERM": "xterm"})) as view:
                assert type(view) is kind
                view.update(progress())
            ends.read_all()


def test_plain_lines_report_each_tick_and_each_end_once() -> None:
    out = io.StringIO()
    now = progress(2, notices=("[disk] full",))
    with open_network_view(Console(file=out, width=40)) as view:
        view.update(dataclasses.replace(now, step=0, label="building", ticks=(), finished=()))
        for _ in range(2):
            view.update(dataclasses.replace(now, ticks=now.ticks[:1]))
        view.update(dataclasses.replace(now, ticks=now.ticks[:2]))
        view.update(progress(3))
    assert out.getvalue().splitlines() == [
        "! [disk] full",
        "27/448s 0/40 building",
        "done 1/40 receive 16K 1/4 Mbit/s=941.5",
        "done 2/40 send 16K 1/4 Mbit/s=938.2",
        "27/448s 3/40 receive 32K 1/4 omitted Mbit/s=941.5 retransmits=0 rtt_ms=0.21",
        "27/448s 3/40 receive 32K 1/4 Mbit/s=869.5 retransmits=1 rtt_ms=0.21",
        "done 3/40 receive 32K 1/4 Mbit/s=935.0",
        "39/448s 4/40 send 32K 1/4 Mbit/s=797.5 retransmits=1 rtt_ms=0.21",
    ]


def test_plain_lines_report_lost_datagrams() -> None:
    out = io.StringIO()
    now = progress(1)
    tick = dataclasses.replace(now.ticks[0], retransmits=UNKNOWN, rtt_ns=UNKNOWN, packets=85, lost=3)
    with open_network_view(Console(file=out)) as view:
        view.update(dataclasses.replace(now, ticks=(tick,)))
    assert out.getvalue().splitlines()[-1].endswith("omitted Mbit/s=941.5 lost=3/85")


def test_request_response_has_transactions_and_no_rate() -> None:
    out = io.StringIO()
    now = progress(1)
    tick = dataclasses.replace(
        now.ticks[-1], start_ns=10**9, end_ns=2 * 10**9, omitted=False, sent_bytes=13_700, received_bytes=13_700
    )
    view = dataclasses.replace(now, kind=Kind.RR, ticks=(tick,), finished=())
    with open_network_view(Console(file=out, width=200)) as shown:
        shown.update(view)
    assert "transactions/s=13700" in out.getvalue()
    running = lines(view)[3]
    assert running.startswith(" 13,700 transactions/s")
    assert "bit" not in out.getvalue() + running
    assert "send" not in running
