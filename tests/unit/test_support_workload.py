"""Acceptance checks of the SPECweb2005-style support workload: its facts, and what is dealt from them."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgpack
import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.output.terminal.quality_lines import quality_lines
from loadgen.measure.cells import Cell
from loadgen.measure.ledger import Totals
from loadgen.model.bound import Bound, BoundKind
from loadgen.model.plan import FULL, SpecPlan
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import OpTape
from loadgen.verdict.connection import State, judge_connections
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.mix import check_mix
from loadgen.verdict.result import Check
from loadgen.verdict.rules import RULES
from tests.support.evidence import asked, rows
from tests.support.specweb import wrong_with
from workloads.catalog import defaults_of
from workloads.support import chain, downloads, facts, pages
from workloads.support.compile import GROUPS, UNDER_WAY, mean_span_ns
from workloads.support.workload import Support

MANY = 200_000


def plan(**given: Any) -> SpecPlan:
    return SpecPlan.from_dict({**defaults_of("support"), "workload": "support", **given})


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def states(rng: np.random.Generator) -> NDArray[np.int64]:
    return chain.deal_states(MANY, rng)


@pytest.fixture(scope="module")
def tape() -> OpTape:
    return Support().compile(plan(vms=4))


def spans_of(tape: OpTape) -> NDArray[np.int64]:
    """The time of each row on a line of 100,000 B/s, and its think time, in ns; without heads and frames of pages."""
    found: NDArray[np.int64] = tape.checks["content_bytes"][tape.ops["check"]] * 10_000
    return found + tape.ops["think_ms"].astype(np.int64) * NS_PER_MS


# --- the mix


def test_the_chain_has_the_expected_shares() -> None:
    """Those of EXPECTED_PCT in Faban's SPECweb_Support.xsl, within 0.1 points."""
    expected = (0.0811, 0.1261, 0.1171, 0.2477, 0.2252, 0.1351, 0.0676)
    assert np.abs(np.subtract(chain.SHARES, expected)).max() < 0.001
    assert all(sum(row.values()) == 20 for row in facts.NEXT.values())


def test_a_session_has_14_8_requests() -> None:
    assert 1 / chain.SHARES[facts.DOWNLOAD] == pytest.approx(14.8, abs=0.01)


def test_only_the_transitions_of_the_chain_occur_in_their_shares(states: NDArray[np.int64]) -> None:
    assert (states[0], states[-1]) == (facts.HOME, facts.DOWNLOAD)
    follows = np.zeros((7, 7))
    np.add.at(follows, (states[:-1], states[1:]), 1)
    for state, row in facts.NEXT.items():
        seen = follows[state] / follows[state].sum()
        assert seen == pytest.approx([row.get(after, 0) / 20 for after in range(7)], abs=0.001)


def test_the_mix_is_that_of_the_chain(states: NDArray[np.int64]) -> None:
    assert np.bincount(states) / len(states) == pytest.approx(chain.SHARES, rel=0.005)


def test_any_stretch_of_the_tape_has_the_mix_that_its_check_demands(rng: np.random.Generator) -> None:
    """A window of the quick profile with 4 VMs has about 170 requests; a free walk would fail in every other run."""
    walk, failed = chain.deal_states(40_000, rng), 0
    for begin in range(0, 40_000 - 170, 170):
        counts = np.bincount(walk[begin : begin + 170], minlength=7)
        failed += not all(one.ok for one in check_mix(counts, facts.KINDS, chain.SHARES, RULES))
    assert failed == 0


# --- the downloads


def test_a_directory_has_16_files_of_68_megabytes() -> None:
    assert len(downloads.SIZES) == 16
    assert downloads.LAYOUT.directory_bytes == 68_472_021  # Faban: 68.47 MB
    assert downloads.SIZES["class0_4"] == 524_290
    assert downloads.SIZES["class2_3"] == 1_048_576 + 3 * 492_831


@pytest.mark.parametrize(("sessions", "directories"), [(1, 1), (4, 1), (5, 2), (20, 5), (100, 25), (1000, 250)])
def test_there_is_a_directory_for_each_four_sessions(sessions: int, directories: int) -> None:
    assert downloads.directories(sessions) == directories


def test_downloads_have_their_shares_and_a_mean_of_6_9_megabytes(rng: np.random.Generator) -> None:
    files = chain.deal_files(MANY, rng)
    seen = np.bincount(files, minlength=16) / MANY
    of_class = [int(file[5]) for file in downloads.FILES]
    assert np.bincount(of_class, weights=seen) == pytest.approx([one[0] for one in facts.DOWNLOAD_CLASSES], rel=0.01)
    assert seen[:5] / seen[:5].sum() == pytest.approx(facts.DOWNLOAD_CLASSES[0][3], rel=0.03)
    sizes = np.array(list(downloads.SIZES.values()))
    assert sizes[files].mean() == pytest.approx(6.92e6, rel=0.005)


def test_directories_are_popular_by_zipf_1_2(rng: np.random.Generator) -> None:
    seen = np.bincount(chain.draw_directories(MANY, 25, rng), minlength=25)
    assert seen[0] / seen[1] == pytest.approx(2**1.2, rel=0.03)
    assert seen[0] / seen[9] == pytest.approx(10**1.2, rel=0.06)


def test_a_file_is_named_in_its_header_line_and_has_its_size() -> None:
    content = downloads.file_content(3, "class0_1")
    assert len(content) == downloads.SIZES["class0_1"]
    assert content.startswith(b"   209716 file_set/dir0000000003/class0_1\n")
    assert content != downloads.file_content(4, "class0_1")


@pytest.mark.parametrize(
    "path", ["/file_set/dir00000/class0_0", "/file_set/dir0000000000/class0_5", "/file_set/dir0000000000/../../x", "/"]
)
def test_no_other_path_is_opened(path: str) -> None:
    assert downloads.is_path(downloads.path(7, "class5_0"))
    assert not downloads.is_path(path)


# --- think times and pace


def test_think_times(states: NDArray[np.int64], rng: np.random.Generator) -> None:
    thinks_s = chain.deal_thinks_ms(states, rng) / 1000
    thought = thinks_s > 0
    assert thought.mean() == pytest.approx(0.9208, abs=0.0005)
    assert thinks_s[thought].mean() == pytest.approx(5, rel=0.01)
    assert thinks_s[thought].std() == pytest.approx(4.47, rel=0.03)  # geometric, close to exponential
    assert thinks_s.max() <= 75
    assert not (thinks_s % 1).any()
    assert not thought[states == facts.DOWNLOAD].any(), "the first request of a session follows at once"


def test_the_pace_is_that_of_line_and_think_time(tape: OpTape) -> None:
    """6.92 MB take 69 s at 100,000 B/s, every fifteenth time; think times 4.6 s on average."""
    ring = tape.ops[tape.ops["group"] != UNDER_WAY]
    sizes = tape.checks["content_bytes"][ring["check"]]
    span_s = sizes / 100_000 + ring["think_ms"] / 1000
    assert span_s.mean() == pytest.approx(mean_span_ns(800_000) / NS_PER_S, rel=0.1)
    assert mean_span_ns(800_000) / NS_PER_S == pytest.approx(0.0676 * 69.2 + 0.9208 * 5 + 0.19, rel=0.01)
    assert Support().connects_per_s(plan()) == pytest.approx(0.37 / 9.45, rel=0.01)


# --- the tape


def test_the_replies_of_the_application_are_those_that_the_tape_expects(tape: OpTape) -> None:
    seen = set()
    for row in range(len(tape.ops)):
        kind, path = int(tape.ops["kind"][row]), tape.strings[int(tape.ops["line"][row])].split()[1].decode()
        if kind in seen or (kind == facts.DOWNLOAD and "class0" not in path):
            continue
        seen.add(kind)
        if kind == facts.DOWNLOAD:
            _, _, directory, file = path.split("/")
            body = downloads.file_content(int(directory.removeprefix("dir")), file)
        else:
            found = pages.SITE.parse_path(path)
            assert found is not None
            assert found[0] == kind
            body = pages.SITE.render(*found)
        assert wrong_with(tape, row, body) == ""
        assert wrong_with(tape, row, body[:-1]) != ""
        assert wrong_with(tape, row, body.replace(b"support/", b"another/").replace(b"file_set", b"file-set")) != ""
    assert len(seen) == 7


def test_downloads_lie_in_the_directories_that_servers_have(tape: OpTape) -> None:
    paths = {tape.strings[int(at)].split()[1].decode() for at in tape.ops["line"][tape.ops["kind"] == facts.DOWNLOAD]}
    assert max(int(path.split("/")[2].removeprefix("dir")) for path in paths) < 5
    assert all(downloads.is_path(path) for path in paths)


def test_a_few_users_are_not_all_inside_of_the_same_download() -> None:
    """Five users pass 100 s of the tape in a window, and one download takes up to 378 s of it."""
    tape = Support().compile(plan(vms=1, connections=5))
    places = tape.starts["row"] % int((tape.ops["group"] != UNDER_WAY).sum())
    assert all(len(set(row.tolist())) == 5 for row in places)


@pytest.mark.parametrize("measure_s", [2, 20, 100])
def test_each_connection_has_an_operation_in_each_window(measure_s: int) -> None:
    """It is due there, or it was begun when the connection arrived and lasts beyond the window."""
    given = plan(vms=4)
    phases = dataclasses.replace(given.phases, measure_ns=measure_s * NS_PER_S)
    given = dataclasses.replace(given, phases=phases)
    tape = Support().compile(given)
    ring = int((tape.ops["group"] != UNDER_WAY).sum())
    again = tape.starts["row"] >= ring
    assert tape.ops["group"][tape.starts["row"][again]].tolist() == [UNDER_WAY] * int(again.sum())
    spans_ns = (
        tape.checks["content_bytes"][tape.ops["check"]] * 10_000 + tape.ops["think_ms"].astype(np.int64) * NS_PER_MS
    )
    for iteration in range(3):
        lead_ns = phases.lead_ns(iteration)
        due_ns = tape.starts["delay_ns"][iteration]
        assert (due_ns[~again[iteration]] <= lead_ns + phases.measure_ns * 9 // 10).all()
        begun = again[iteration]
        assert (due_ns[begun] <= phases.ramp_up_ns).all()
        lasts_ns = due_ns[begun] + spans_ns[tape.starts["row"][iteration][begun]]
        assert (
            lasts_ns > lead_ns + phases.measure_ns * 9 // 10 - 30 * NS_PER_MS
        ).all()  # the spans here lack the heads


def test_an_operation_that_was_under_way_leads_back_to_the_tape(tape: OpTape) -> None:
    ring = int((tape.ops["group"] != UNDER_WAY).sum())
    for row in tape.ops[ring:]:
        (same,) = np.flatnonzero(tape.ops["next"][:ring] == row["next"])
        assert (row["line"], row["kind"], row["think_ms"]) == tuple(tape.ops[same][["line", "kind", "think_ms"]])
    assert Support().counting(plan()).unmixed == (UNDER_WAY,)


def test_the_requests_of_a_window_have_the_intended_mix(tape: OpTape) -> None:
    """On ideal servers, for the connections of a run as they start."""
    given = plan(vms=16, phases={**dataclasses.asdict(FULL), "iterations": 1, "measure_ns": 100 * NS_PER_S})
    tape = Support().compile(given)
    spans_ns = (
        tape.checks["content_bytes"][tape.ops["check"]] * 10_000 + tape.ops["think_ms"].astype(np.int64) * NS_PER_MS
    )
    begin_ns = given.phases.lead_ns(0)
    counts = np.zeros(7, np.int64)
    for row, due_ns in tape.starts[0].tolist():
        while due_ns < begin_ns + given.phases.measure_ns:
            counts[tape.ops["kind"][row]] += due_ns >= begin_ns
            due_ns += int(spans_ns[row])
            row = int(tape.ops["next"][row])
    assert counts.sum() == pytest.approx(320 * 100 / 9.45, rel=0.05)
    assert all(one.ok for one in check_mix(counts, facts.KINDS, chain.SHARES, RULES))


# --- the verdict


def test_pages_are_judged_by_time_and_downloads_by_rate(tape: OpTape) -> None:
    """Faban: TIME_GOOD 3 s, TIME_TOLERABLE 5 s; 99,000 and 95,000 B/s; 95 % good and 99 % tolerable."""
    given = plan()
    assert given.bound == Bound.time(3 * NS_PER_S, 5 * NS_PER_S)
    assert (given.bound.good_share, given.bound.tolerable_share) == (0.95, 0.99)
    assert tape.own_bounds[: facts.DOWNLOAD] == (None,) * 6
    rates = tape.own_bounds[facts.DOWNLOAD]
    assert rates is not None
    assert rates.kind is BoundKind.RATE
    assert (NS_PER_S / rates.good_ns_per_byte, NS_PER_S / rates.tolerable_ns_per_byte) == pytest.approx(
        (99_000, 95_000)
    )


def test_with_another_line_downloads_are_judged_by_the_same_share_of_it() -> None:
    rates = Support().compile(plan(vms=1, line_bps=8_000_000)).own_bounds[facts.DOWNLOAD]
    assert rates is not None
    assert NS_PER_S / rates.good_ns_per_byte == pytest.approx(990_000)


def test_with_a_rate_bound_the_rate_of_connections_decides() -> None:
    given = dataclasses.replace(plan(vms=1), bound=Bound.rate(320_000))
    assert Support().compile(given).own_bounds == ()


@pytest.mark.parametrize(
    ("requests", "state"),
    [
        ({"ok": 100, "good": 95, "tolerable": 99}, State.CONFORMING),
        ({"ok": 100, "good": 94, "tolerable": 100}, State.SLOW),
        ({"ok": 100, "good": 95, "tolerable": 98}, State.SLOW),
        ({"cut": 1, "overdue": 1, "good": 1, "tolerable": 1}, State.CONFORMING),  # a download at its rate so far
        ({"cut": 1, "overdue": 1}, State.SLOW),
        ({"cut": 1}, State.SLOW),  # a page of which nobody knows how long it takes
        ({"ok": 99, "bad": 2, "good": 99, "tolerable": 99}, State.ERRORS),
        ({}, State.NO_REQUESTS),
    ],
)
def test_known_connections(requests: dict[str, int], state: State) -> None:
    found = judge_connections(rows({"connection": 0, **requests}), 1, plan().bound)
    assert State(found["state"][0]) is state


def test_the_report_shows_the_classes_of_requests() -> None:
    checks = [
        Check(name=name, value=value, limit=90, ok=True, unit="%")
        for name, value in (("good requests", 96.5), ("tolerable requests", 99.25))
    ]
    (line,) = quality_lines(checks)
    assert line.plain == "Requests: 96.50 % good, 2.75 % tolerable, 0.75 % slower, or failed"
    assert quality_lines(checks[:1]) == []


def test_bounds_and_think_times_reach_engines_of_other_machines(tape: OpTape) -> None:
    again = OpTape.from_wire(msgpack.unpackb(msgpack.packb(tape.to_wire())))
    assert again.own_bounds == tape.own_bounds
    assert again.ops["think_ms"].tolist() == tape.ops["think_ms"].tolist()


@pytest.mark.parametrize(("unmixed", "names"), [((), {"good requests", "tolerable requests"}), ((1,), set())])
def test_a_window_in_which_nothing_is_due_is_judged_by_its_connections(
    unmixed: tuple[int, ...], names: set[str]
) -> None:
    """All of a few users download for the whole window: their rates so far count, and there is no mix."""
    demand = dataclasses.replace(asked(1, 2, plan().bound), unmixed=unmixed, groups=("page", "under way"))
    downloading = [{"connection": at, "cut": 1, "overdue": 1, "good": 1, "tolerable": 1} for at in (0, 1)]
    result = judge_iteration(0, Totals({}, rows(*downloading), {}), demand, measured_ns=20 * NS_PER_S)
    assert result.conforming == 2
    assert {check.name for check in result.checks if not check.ok} >= names
    assert result.conforms is (not names)


def test_operations_that_were_under_way_are_not_part_of_the_mix() -> None:
    """Neither in a window, nor of the whole run: long downloads are over-represented among them."""
    demand = dataclasses.replace(
        asked(1, 2), unmixed=(UNDER_WAY,), kinds=facts.KINDS, groups=GROUPS, kind_shares=chain.SHARES
    )
    counts = np.zeros((7, 3, 3), np.int64)
    counts[:, 0, 0] = np.rint(np.multiply(chain.SHARES, 2220))
    counts[facts.DOWNLOAD, UNDER_WAY, 2] = 500
    assert demand.mixed(counts).tolist() == counts[:, 0, 0].tolist()
    whole = dataclasses.replace(Cell.empty(7, 3), counts=counts)
    result = judge_iteration(0, Totals({(0, 0): whole}, rows({"connection": 0}), {}), demand, measured_ns=20 * NS_PER_S)
    assert all(check.ok for check in result.checks if check.name.startswith("mix: "))
