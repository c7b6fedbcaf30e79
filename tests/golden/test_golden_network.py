from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from coordinator.output.terminal.network_live import NetworkScreen
from coordinator.output.terminal.network_report import print_forward, print_iperf
from coordinator.output.terminal.progress import Progress
from loadgen.model.probe import Direction, ForwardPlan, IperfPlan, Kind, Link, Mode, Transport
from loadgen.verdict.network import ForwardResult, IperfResult, judge_forward, judge_iperf
from tests.support.judged import judged
from tests.support.networks import (
    FORWARD,
    IPERF,
    forward_header,
    forward_passages,
    iperf_header,
    iperf_results,
    progress,
)

Golden = Callable[[str, str], None]

RECORD = Path("runs/2026-02-03T04-05-06-iperf")
OTHERS = (0.02, "sshd (pid 7)")
CUT = "the run was cut off before it wrote its result"
ALL_LINKS = dataclasses.replace(FORWARD, links=(Link.GIGE, Link.TEN_GIGE, Link.NONE), flows=(1, 16, 256))
"""The plan with the widest report."""


def printed(show: Callable[[Console], None], *, encoding: str = "utf-8", width: int = 80) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    show(Console(file=file, width=width))
    file.flush()
    lines = [line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()]
    assert all(cell_len(line) <= 80 for line in lines)
    return "".join(f"{line}\n" for line in lines)


def iperf(plan: IperfPlan) -> IperfResult:
    return judge_iperf(plan, iperf_results(plan), others=OTHERS)


def forward(plan: ForwardPlan) -> ForwardResult:
    return judge_forward(plan, forward_passages(plan), others=OTHERS)


def fast(link: Link, mode: Mode, window_bytes: int, flows: int) -> float:
    """Return the rate of each way on an unshaped veth, limited by the speed of the shaped links."""
    top = {Link.GIGE: 941.5, Link.TEN_GIGE: 9415.0}.get(link, 45_123.4)
    return min(top, {Mode.DIRECT: 15_800.0, Mode.SPLICE: 41_000.0}.get(mode, 26_500.0)) - flows / 2


PLANS = {
    "iperf_valid.txt": IPERF,
    "iperf_conforming.txt": dataclasses.replace(IPERF, at_least_bps=500_000_000),
    "iperf_not_conforming.txt": dataclasses.replace(IPERF, at_least_bps=900_000_000),
    "iperf_bidir.txt": dataclasses.replace(IPERF, directions=(*IPERF.directions, Direction.BIDIR), parallel=4),
    "iperf_auto.txt": dataclasses.replace(IPERF, windows_bytes=(0,), repeats=1, omit_ns=0),
    "iperf_udp.txt": dataclasses.replace(
        IPERF, transport=Transport.UDP, windows_bytes=(0,), rate_bps=10_000_000, block_bytes=1460
    ),
    "iperf_rr.txt": dataclasses.replace(IPERF, kind=Kind.RR, directions=(Direction.SEND,), windows_bytes=(0,)),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_iperf_report(golden: Golden, name: str) -> None:
    plan = PLANS[name]
    golden(f"network/{name}", printed(lambda c: print_iperf(c, judged(iperf_header(plan), iperf(plan), path=RECORD))))


def test_the_iperf_report_of_a_cut_run(golden: Golden) -> None:
    result = judge_iperf(IPERF, iperf_results()[:7], others=(0.0, ""), interrupted=True)
    golden(
        "network/iperf_cut.txt", printed(lambda c: print_iperf(c, judged(iperf_header(), result, path=RECORD, cut=CUT)))
    )


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_iperf_report_of_rates_that_this_end_limited(golden: Golden, encoding: str) -> None:
    busy = [dataclasses.replace(one, local_busiest_ns=int(one.wall_ns * 0.99)) for one in iperf_results()]
    result = judge_iperf(IPERF, busy, others=OTHERS)
    text = printed(lambda c: print_iperf(c, judged(iperf_header(), result, path=RECORD)), encoding=encoding)
    golden(f"network/iperf_limited_{encoding}.txt", text)


def test_the_iperf_report_of_an_invalid_run_in_ascii(golden: Golden) -> None:
    problem = "send 64K 2/4: 192.0.2.1 port 5201 closed the connection"
    result = judge_iperf(IPERF, iperf_results()[:15], others=(0.92, "make (pid 9)"), problems=(problem,))
    text = printed(lambda c: print_iperf(c, judged(iperf_header(), result, path=RECORD)), encoding="ascii", width=200)
    golden("network/iperf_invalid_ascii.txt", text)


def test_the_forward_report(golden: Golden) -> None:
    golden("network/forward_valid.txt", printed(lambda c: print_forward(c, judged(forward_header(), forward(FORWARD)))))


def test_the_forward_report_of_several_links(golden: Golden) -> None:
    result = judge_forward(ALL_LINKS, forward_passages(ALL_LINKS, fast), others=OTHERS)
    golden("network/forward_links.txt", printed(lambda c: print_forward(c, judged(forward_header(ALL_LINKS), result))))


def test_the_forward_report_of_rates_that_the_source_limited(golden: Golden) -> None:
    plan = dataclasses.replace(FORWARD, links=(Link.TEN_GIGE,))
    passages = [
        dataclasses.replace(
            one, result=dataclasses.replace(one.result, local_busiest_ns=int(one.result.wall_ns * 0.99))
        )
        for one in forward_passages(plan, fast)
    ]
    result = judge_forward(plan, passages, others=OTHERS)
    golden("network/forward_limited.txt", printed(lambda c: print_forward(c, judged(forward_header(plan), result))))


def test_the_forward_report_on_loopback(golden: Golden) -> None:
    plan = dataclasses.replace(FORWARD, links=(Link.LOOPBACK,), modes=(Mode.DIRECT, Mode.COPY), flows=(1,))
    notes = ("no lab was built, so this is loopback: it needs root",)
    result = judge_forward(plan, forward_passages(plan, fast), others=OTHERS, notes=notes)
    golden("network/forward_loopback.txt", printed(lambda c: print_forward(c, judged(forward_header(plan), result))))


def test_the_forward_report_of_a_route_that_bypasses_a_nic(golden: Golden) -> None:
    passages = forward_passages()
    nothing = dataclasses.replace(passages[1].after, nics=passages[1].before.nics)
    passages[1] = dataclasses.replace(passages[1], after=nothing)
    plan = dataclasses.replace(FORWARD, links=(Link.REAL,), proxy="192.0.2.1:5300", sink="192.0.2.2:5201")
    passages = [dataclasses.replace(one, link=Link.REAL) for one in passages]
    result = judge_forward(plan, passages, others=OTHERS)
    golden("network/forward_invalid.txt", printed(lambda c: print_forward(c, judged(forward_header(plan), result))))


def test_reports_fit_narrow_terminals() -> None:
    """No width makes the reports fail."""
    printed(lambda c: print_iperf(c, judged(iperf_header(), iperf(IPERF))), width=30)
    printed(lambda c: print_forward(c, judged(forward_header(), forward(FORWARD))), width=30)


def drawn(view: Progress, width: int, height: int, *, ascii_only: bool = False) -> str:
    lines = [line.plain for line in NetworkScreen(view).lines(width, height, ascii_only=ascii_only)]
    assert len(lines) < height
    return "".join(f"{line.rstrip()}\n" for line in lines)


NOTICES = ("disk full: the record of the intervals ends at 0:31", "the lab has no GRO switch: left as it is")


@pytest.mark.parametrize(
    ("name", "view", "width", "height", "ascii_only"),
    [
        ("live_80x24.txt", progress(6), 80, 24, False),
        ("live_80x24_late.txt", progress(39, notices=NOTICES), 80, 24, False),
        ("live_80x24_ascii.txt", progress(23), 80, 24, True),
        ("live_50x12.txt", progress(23, notices=NOTICES), 50, 12, False),
        (
            "live_starting.txt",
            dataclasses.replace(progress(0), step=0, label="building the lab", ticks=(), finished=(), elapsed_s=0.0),
            80,
            24,
            False,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_live_screen(golden: Golden, name: str, view: Progress, width: int, height: int, ascii_only: bool) -> None:
    golden(f"network/{name}", drawn(view, width, height, ascii_only=ascii_only))
