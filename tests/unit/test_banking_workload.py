"""Acceptance checks of the SPECweb2005-style banking workload: its facts, and what is dealt from them."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import msgpack
import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.kinds.spec.kind import SpecKind
from loadgen.model.bound import Bound
from loadgen.model.plan import FULL, SpecPlan
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import EMBEDDED, OpTape
from loadgen.verdict.connection import State, judge_connections
from loadgen.verdict.mix import check_mix
from loadgen.verdict.rules import RULES
from tests.support.evidence import rows
from tests.support.specweb import wrong_with
from workloads.banking import chain, facts, images, pages
from workloads.banking.compile import CHECK_IMAGE, GROUPS, REQUESTS_PER_PAGE, UNDER_WAY, mean_span_ns
from workloads.banking.workload import Banking
from workloads.catalog import defaults_of, tcp_connections

MANY = 200_000
EXPECTED = (21.53, 15.11, 8.45, 13.89, 1.12, 0.80, 6.67, 2.23, 1.22, 0.88, 1.22, 0.88, 1.71, 1.24, 6.16, 16.89)
"""EXPECTED_PCT of Faban's SPECweb_Banking.xsl, by kind; front and back of a check together."""


def plan(**given: Any) -> SpecPlan:
    return SpecPlan.from_dict({**defaults_of("banking"), "workload": "banking", **given})


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def states(rng: np.random.Generator) -> NDArray[np.int64]:
    return chain.deal_states(MANY, rng)


@pytest.fixture(scope="module")
def tape() -> OpTape:
    return Banking().compile(plan(vms=4))


def page_rows(tape: OpTape) -> NDArray[np.int64]:
    """The rows of pages, in order; those between two of them are the images of the first."""
    return np.flatnonzero((tape.ops["flags"] & EMBEDDED) == 0)


def path_of(tape: OpTape, row: int) -> str:
    return tape.strings[int(tape.ops["line"][row])].split()[1].decode()


# --- the mix


def test_the_chain_has_the_expected_shares() -> None:
    assert np.abs(100 * np.array(chain.SHARES) - EXPECTED).max() < 0.1
    assert all(sum(row.values()) in (0, 20, 25) for row in facts.NEXT.values()), "a fifth of the pages ends a session"
    assert len(facts.KINDS) == len(facts.PAGE_BYTES) == len(facts.IMAGES_OF) == 16


def test_a_session_has_4_65_pages(states: NDArray[np.int64]) -> None:
    assert 1 / chain.SHARES[facts.LOGIN] == pytest.approx(4.65, abs=0.01)
    assert len(states) / (states == facts.LOGIN).sum() == pytest.approx(4.65, rel=0.01)


def test_only_the_transitions_of_the_chain_occur_in_their_shares(states: NDArray[np.int64]) -> None:
    follows = np.zeros((facts.STATES, facts.STATES))
    np.add.at(follows, (states[:-1], states[1:]), 1)
    for state, row in facts.NEXT.items():
        expected = np.array([row.get(after, 0) / facts.TIMES for after in range(facts.STATES)])
        expected[facts.LOGIN] = 1 - expected.sum()
        assert follows[state] / follows[state].sum() == pytest.approx(expected, abs=0.005)


def test_the_mix_is_that_of_the_chain(states: NDArray[np.int64]) -> None:
    kinds = np.bincount(np.array(facts.KIND_OF)[states])
    assert kinds / len(states) == pytest.approx(chain.SHARES, rel=0.02)


def test_any_stretch_of_the_tape_has_the_mix_that_its_check_demands(states: NDArray[np.int64]) -> None:
    """A window of the quick profile with 4 VMs has about 240 pages."""
    kind, failed = np.array(facts.KIND_OF)[states], 0
    for begin in range(0, 48_000, 240):
        counts = np.bincount(kind[begin : begin + 240], minlength=len(facts.KINDS))
        failed += not all(one.ok for one in check_mix(counts, facts.KINDS, chain.SHARES, RULES))
    assert failed == 0


# --- think times and pace


def test_think_times(states: NDArray[np.int64], rng: np.random.Generator) -> None:
    thinks_s = chain.deal_thinks_ms(states, rng) / 1000
    thought = thinks_s > 0
    assert thought.mean() == pytest.approx(0.6158, abs=0.001)
    assert thinks_s[thought].mean() == pytest.approx(10, rel=0.01)
    assert thinks_s[thought].std() == pytest.approx(8.94, rel=0.03)  # geometric in steps of 2 s
    assert thinks_s.max() <= 150
    assert not (thinks_s % 2).any()
    following = np.roll(states, -1)
    assert not thought[np.isin(following, (facts.LOGIN, facts.FRONT, facts.BACK))].any()


def test_the_pace_is_that_of_line_and_think_time(tape: OpTape) -> None:
    at = page_rows(tape)
    at = at[tape.ops["group"][at] != UNDER_WAY]
    assert tape.ops["think_ms"][at].mean() == pytest.approx(6_158, rel=0.1)
    assert not tape.ops["think_ms"][(tape.ops["flags"] & EMBEDDED) != 0].any()
    assert mean_span_ns(1_600_000) / NS_PER_S == pytest.approx(6.158 + 0.35, rel=0.01)
    assert Banking().connects_per_s(plan()) == pytest.approx(REQUESTS_PER_PAGE * 0.37 / 6.51, rel=0.01)


# --- pages and images


def test_sizes_and_numbers_lie_in_the_published_ranges() -> None:
    """Pages are padded to 4 to 46 KB, and have 7 to 19 images of 43 B to 37 KB."""
    assert min(facts.PAGE_BYTES) == 4 * 1024
    assert max(facts.PAGE_BYTES) == 46 * 1024
    assert {min(facts.IMAGES_OF[: facts.FRONT]), max(facts.IMAGES_OF)} == {7, 19}
    assert facts.IMAGES_OF[facts.FRONT] == 0
    assert min(facts.IMAGE_BYTES) == 43
    assert 37_000 <= max(facts.IMAGE_BYTES) < 38 * 1024
    assert all(len(set(images.of_page(kind))) == facts.IMAGES_OF[kind] for kind in range(len(facts.KINDS)))


def test_a_page_is_followed_by_its_images(tape: OpTape) -> None:
    at = [*page_rows(tape).tolist(), len(tape.ops)]
    for row, end in itertools.pairwise(at):
        found = pages.SITE.parse_path(path_of(tape, row))
        assert found is not None
        assert found[0] == tape.ops["kind"][row]
        assert end - row - 1 == facts.IMAGES_OF[found[0]]
        named = [path_of(tape, one) for one in range(row + 1, end)]
        assert named == [f"/{images.name(image)}" for image in images.of_page(found[0])]
        assert all(f'<img src="{one}">'.encode() in pages.render(*found) for one in named[:1])
    assert set(tape.ops["next"].tolist()) <= set(at)
    assert set(np.unique(tape.starts["row"]).tolist()) <= set(at)
    assert tape.lanes == 2


def test_the_replies_of_the_application_are_those_that_the_tape_expects(tape: OpTape) -> None:
    seen = set()
    for row in range(len(tape.ops)):
        path = path_of(tape, row)
        if (of := path.partition("?")[0]) in seen:
            continue
        seen.add(of)
        found = pages.SITE.parse_path(path)
        body = pages.render(*found) if found else images.file_content(0, path.rpartition("/")[2])
        assert wrong_with(tape, row, body) == ""
        assert wrong_with(tape, row, body[:-1]) != ""
        assert wrong_with(tape, row, body.replace(b"banking", b"another")) != ""
    assert len(seen) == 16 + 19


def test_a_session_is_that_of_one_of_50_users_per_connection(tape: OpTape) -> None:
    user, row = None, 0
    seen = set()
    for _ in range(900):
        found = pages.SITE.parse_path(path_of(tape, row))
        assert found is not None
        if found[0] == facts.LOGIN:
            user = found[1]
        assert found[1] == user
        seen.add(user)
        row = int(tape.ops["next"][row])
    assert max(one for one in seen if one is not None) < 20 * 50
    assert len(seen) > 150


@pytest.mark.parametrize(
    "path", ["/file_set/banking/image19", "/file_set/banking/../x", "/dyn/banking/login?user=1", "/"]
)
def test_no_other_path_is_opened(path: str) -> None:
    assert images.is_path("/file_set/banking/image00")
    assert pages.SITE.parse_path("/dyn/banking/login?user=000001") == (0, 1)
    assert not images.is_path(path)
    assert pages.SITE.parse_path(path) is None


# --- where users start


@pytest.mark.parametrize("measure_s", [2, 20, 100])
def test_each_user_has_a_page_in_each_window(measure_s: int) -> None:
    """It is due there, or it was begun when the connection arrived, and with its think time lasts beyond the window."""
    given = plan(vms=4)
    phases = dataclasses.replace(given.phases, measure_ns=measure_s * NS_PER_S)
    tape = Banking().compile(dataclasses.replace(given, phases=phases))
    begun = tape.ops["group"][tape.starts["row"]] == UNDER_WAY
    for iteration in range(3):
        due_ns, lead_ns = tape.starts["delay_ns"][iteration], phases.lead_ns(iteration)
        assert (due_ns[~begun[iteration]] <= lead_ns + phases.measure_ns * 9 // 10).all()
        assert (due_ns[begun[iteration]] <= phases.ramp_up_ns).all()


def test_a_page_that_was_under_way_leads_back_to_the_tape(tape: OpTape) -> None:
    again = [row for row in page_rows(tape).tolist() if tape.ops["group"][row] == UNDER_WAY]
    first = min(again)
    for row in again:
        (same, *_) = np.flatnonzero((tape.ops["next"] == tape.ops["next"][row]) & (tape.ops["flags"] & EMBEDDED == 0))
        assert same < first
        assert path_of(tape, int(same)) == path_of(tape, row)
    assert Banking().counting(plan()).unmixed == (UNDER_WAY,)


def test_the_pages_of_a_window_have_the_intended_mix() -> None:
    """On ideal servers, for the connections of a run as they start."""
    given = plan(vms=16, phases={**dataclasses.asdict(FULL), "iterations": 1, "measure_ns": 100 * NS_PER_S})
    tape = Banking().compile(given)
    at = page_rows(tape)
    sizes = np.add.reduceat(tape.checks["content_bytes"][tape.ops["check"]] + 230, at)
    thinks_ns = tape.ops["think_ms"][at].astype(np.int64) * NS_PER_MS
    spans_ns = dict(zip(at.tolist(), (sizes * 5_000 + thinks_ns).tolist(), strict=True))
    begin_ns, counts = given.phases.lead_ns(0), np.zeros(16, np.int64)
    for row, due_ns in tape.starts[0].tolist():
        while due_ns < begin_ns + given.phases.measure_ns:
            counts[tape.ops["kind"][row]] += due_ns >= begin_ns and tape.ops["group"][row] != UNDER_WAY
            due_ns += int(spans_ns[row])
            row = int(tape.ops["next"][row])
    assert counts.sum() == pytest.approx(320 * 100 / 6.51, rel=0.05)
    assert all(one.ok for one in check_mix(counts, facts.KINDS, chain.SHARES, RULES))


def test_the_groups_tell_check_images_from_pages(tape: OpTape) -> None:
    at = page_rows(tape)
    circle = at[tape.ops["group"][at] != UNDER_WAY]
    assert ((tape.ops["kind"][circle] == facts.FRONT) == (tape.ops["group"][circle] == CHECK_IMAGE)).all()
    assert tape.groups == GROUPS


# --- the verdict


def test_pages_are_judged_by_time() -> None:
    """Faban: TIME_GOOD 2 s, TIME_TOLERABLE 4 s; 95 % good and 99 % tolerable; two lines of 100,000 B/s."""
    given = plan()
    assert given.bound == Bound.time(2 * NS_PER_S, 4 * NS_PER_S)
    assert (given.bound.good_share, given.bound.tolerable_share) == (0.95, 0.99)
    assert (given.line_bps, given.paced_reads) == (1_600_000, True)
    assert Banking().compile(plan(vms=1)).own_bounds == ()


def test_every_page_can_be_good_on_the_line(tape: OpTape) -> None:
    """A page, and then its images on two lines of 100,000 B/s, end well before 2 s on ideal servers."""
    for kind, size in enumerate(facts.PAGE_BYTES):
        parts = [facts.IMAGE_BYTES[image] for image in images.of_page(kind)]
        assert (size + sum(parts) / 2 + max(parts, default=0)) / 100_000 < 1.7


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ({"ok": 100, "good": 95, "tolerable": 99}, State.CONFORMING),
        ({"ok": 100, "good": 94, "tolerable": 100}, State.SLOW),
        ({"ok": 100, "good": 95, "tolerable": 98}, State.SLOW),
        ({"cut": 1, "overdue": 1}, State.SLOW),  # a page that the end cut after 4 s
        ({"ok": 99, "bad": 2, "good": 99, "tolerable": 99}, State.ERRORS),
        ({}, State.NO_REQUESTS),
    ],
)
def test_known_users(seen: dict[str, int], state: State) -> None:
    found = judge_connections(rows({"connection": 0, **seen}), 1, plan().bound)
    assert State(found["state"][0]) is state


def test_pages_reach_engines_of_other_machines(tape: OpTape) -> None:
    again = OpTape.from_wire(msgpack.unpackb(msgpack.packb(tape.to_wire())))
    assert again.lanes == 2
    assert again.ops.tolist() == tape.ops.tolist()


# --- what a user needs


def test_two_tcp_connections_of_a_user_need_two_ports_and_two_files() -> None:
    given = plan(vms=3, connections=10)
    demand = SpecKind().demand(given)
    assert demand.shares == (10, 10, 10)
    assert demand.sockets == (20, 20, 20)
    assert demand.connects_per_s == pytest.approx(Banking().connects_per_s(given) / 2)
    assert tcp_connections(given) == 20
    assert tcp_connections(SpecPlan(vms=3, connections=10)) == 10
