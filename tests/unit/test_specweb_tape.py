"""The compiled workload: correct rows, equal ones for equal seeds, and a mix that does not depend on chance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from loadgen.model.bound import Bound
from loadgen.model.plan import FULL, QUICK, LastAd, Phases, SpecPlan
from loadgen.model.units import NS_PER_S
from loadgen.schedule.optape import CLOSE_AFTER, KEEP_ALIVE, OpTape
from tests.support.specweb import wrong_with
from workloads.specweb99 import ads, files, mix, page, urls
from workloads.specweb99 import compile as compile_
from workloads.specweb99.compile import MAX_ROWS, compile_tape

PLAN = SpecPlan(seed=7)


@pytest.fixture(scope="module")
def tape() -> OpTape:
    return compile_tape(PLAN)


def request(tape: OpTape, row: int) -> tuple[str, dict[str, str], bytes]:
    """The request line, headers and body of a row."""
    op = tape.ops[row]
    raw = tape.strings[int(op["line"])] + b"Host: h\r\n" + tape.strings[int(op["rest"])]
    head, end, body = raw.partition(b"\r\n\r\n")
    assert end
    line, *headers = head.decode("ascii").split("\r\n")
    return line, dict(header.split(": ", 1) for header in headers), body


def file_of(tape: OpTape, row: int) -> tuple[int, int, int]:
    """The file (directory, class, number) that a request names."""
    line, _, body = request(tape, row)
    if body:
        fields = urls.parse_post_body(body)
        assert fields is not None
        return fields[:3]
    file = urls.parse_file_path(line.split(" ")[1].rpartition("?")[2])
    assert file is not None
    return file


def reply(tape: OpTape, row: int) -> bytes:
    """The body of a correct reply, derived from the request alone."""
    file = file_of(tape, row)
    content = files.content(*file)
    group = int(tape.ops[row]["group"])
    if group == mix.STATIC:
        return content
    if group == mix.CAD:
        user, last_ad = asked(tape, row)
        tables = urls.parse_reset(urls.reset_command(PLAN).partition("?")[2], 0)
        assert tables is not None
        ad = int(ads.expected(tables, 0).ad[user, last_ad])
        content = content.replace(files.TAG_TEXT, ads.tag_text(ad).encode())
    return page.render(content, software="s", remote="r", script="s", query="q")


def asked(tape: OpTape, row: int) -> tuple[int, int]:
    cookie = ads.parse_request_cookie(request(tape, row)[1]["Cookie"], urls.users(PLAN))
    assert cookie is not None
    return cookie


def rows_of_each_sort(tape: OpTape) -> list[int]:
    """Return a few rows of every combination of group and kind that occurs."""
    rows = []
    for group in range(5):
        for kind in range(4):
            rows += np.flatnonzero((tape.ops["group"] == group) & (tape.ops["kind"] == kind))[:3].tolist()
    return rows


def test_a_correct_reply_passes_and_a_wrong_one_does_not(tape: OpTape) -> None:
    rows = rows_of_each_sort(tape)
    assert len({(int(op["group"]), int(op["kind"])) for op in tape.ops[rows]}) >= 19  # CGI of class 3 is rare
    for row in rows:
        right = reply(tape, row)
        assert wrong_with(tape, row, right) == ""
        wrong = bytearray(right)
        at = right.index(b"file_set/dir", right.find(b"<pre>") + 1)
        wrong[at] ^= 1
        assert wrong_with(tape, row, bytes(wrong)) == "wrong prefix"
        mark = at + right[at:].index(b"\n") + 1
        wrong = bytearray(right)
        wrong[mark] ^= 1
        assert wrong_with(tape, row, bytes(wrong)) == "wrong validation byte 0"
        assert wrong_with(tape, row, right[:-1]) != ""
        assert wrong_with(tape, row, right + b"x") != ""


def test_a_cad_reply_without_its_ad_does_not_pass(tape: OpTape) -> None:
    with_tags = np.isin(tape.ops["kind"], (1, 2))
    rows = np.flatnonzero((tape.ops["group"] == mix.CAD) & with_tags)
    assert (tape.ops["literal"][rows] > 0).all()
    others = np.delete(np.arange(len(tape.ops)), rows)
    assert not tape.ops["literal"][others].any()
    for row in rows[:10].tolist():
        untouched = page.render(files.content(*file_of(tape, row)), software="", remote="", script="", query="")
        assert wrong_with(tape, row, untouched).startswith("wrong literal")
        if tape.ops["kind"][row] == 2:  # both tags must be correct
            right = reply(tape, row)
            last = right.rindex(b"<!WEB99CAD>") + len(files.TAG_OPEN)
            assert wrong_with(tape, row, right[:last] + b"d" * 17 + right[last + 17 :]).startswith("wrong literal")


def test_every_request_is_well_formed(tape: OpTape) -> None:
    for row in range(0, len(tape.ops), 7):
        op = tape.ops[row]
        line, headers, body = request(tape, row)
        method, path, version = line.split(" ")
        group = int(op["group"])
        assert (method, version) == ("POST" if group == mix.POST else "GET", "HTTP/1.1")
        assert path.startswith(("/file_set/", "/dyn/get?", "/dyn/cad?", "/dyn/post", "/cgi/get?")[group])
        assert int(headers.pop("Content-Length", "0")) == len(body)
        assert ("Connection" in headers) == bool(op["flags"] & CLOSE_AFTER)
        assert ("Cookie" in headers) == (group in (mix.CAD, mix.POST))
        directory, class_, _ = file_of(tape, row)
        assert class_ == op["kind"]
        assert directory < urls.directories(PLAN)
        assert op["status"] == 200


def test_posts_name_their_row_and_expect_their_user(tape: OpTape) -> None:
    for row in np.flatnonzero(tape.ops["group"] == mix.POST)[:50].tolist():
        fields = urls.parse_post_body(request(tape, row)[2])
        assert fields is not None
        assert fields[3] == row
        assert tape.strings[int(tape.ops["cookie"][row])] == f"my_cookie={10_000 + asked(tape, row)[0]}".encode()


@pytest.mark.parametrize("policy", LastAd)
def test_cad_cookies_follow_the_declared_policy(policy: LastAd) -> None:
    plan = dataclasses.replace(PLAN, last_ad=policy)
    tape = compile_tape(plan)
    answers = urls.expected_ads(plan)
    rows = np.flatnonzero(tape.ops["group"] == mix.CAD).tolist()
    pairs = [asked(tape, row) for row in rows]
    for row, (user, last_ad) in zip(rows, pairs, strict=True):
        assert tape.strings[int(tape.ops["cookie"][row])].decode() == answers.cookie(user, last_ad)
    returned = [int(answers.ad[pair]) for pair in pairs]
    scanned = [(ad - last_ad - 1) % 360 + 1 for ad, (_, last_ad) in zip(returned, pairs, strict=True)]
    if policy is LastAd.PREVIOUS:
        assert [last_ad for _, last_ad in pairs[1:]] == returned[:-1]
        assert set(scanned[1:]) == {24}
    else:
        assert np.bincount(scanned, minlength=25)[1:] / len(scanned) == pytest.approx(1 / 24, rel=0.25)
    users = np.bincount([user for user, _ in pairs], minlength=20)
    assert len(users) == 20
    assert users / users.sum() == pytest.approx(1 / 20, rel=0.25)
    assert np.mean(answers.expired[returned]) == pytest.approx(2 / 15, rel=0.15)


def test_the_mix_of_a_tape_is_the_intended_one(tape: OpTape) -> None:
    count = len(tape.ops)
    assert np.bincount(tape.ops["group"]) / count == pytest.approx(mix.OP_SHARES, rel=0.05)
    assert np.bincount(tape.ops["kind"]) / count == pytest.approx(tape.kind_shares, rel=0.01)
    assert (tape.ops["flags"] & KEEP_ALIVE > 0).mean() == pytest.approx(0.7, abs=0.01)
    assert count / (tape.ops["flags"] & CLOSE_AFTER > 0).sum() == pytest.approx(2.70, abs=0.03)
    assert tape.ops["flags"][-1] & CLOSE_AFTER
    assert (tape.kinds, tape.groups) == (mix.KINDS, mix.GROUPS)


def test_the_same_seed_gives_the_same_operations_to_any_number_of_engines(tape: OpTape) -> None:
    again = compile_tape(dataclasses.replace(PLAN, engines=4))
    assert again.to_wire() == tape.to_wire()
    other = compile_tape(dataclasses.replace(PLAN, seed=8))
    assert other.to_wire()["ops"] != tape.to_wire()["ops"]
    assert compile_tape(dataclasses.replace(PLAN, seed=-1)).to_wire() != tape.to_wire()


def line_times_ns(tape: OpTape, head_bytes: int = 180) -> NDArray[np.int64]:
    """The durations of operations at line speed, from the bytes that the reference server really sends."""
    framed = np.where(tape.ops["group"] == mix.STATIC, head_bytes, head_bytes + 350)
    return np.asarray((tape.checks["content_bytes"][tape.ops["check"]] + framed) * 20_000, dtype=np.int64)


def started(plan: SpecPlan, tape: OpTape, iteration: int, times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Operations due in an iteration's window, of shape (connections, kinds), when each lasts `times_ns`."""
    begins = np.concatenate([[0], np.cumsum(times_ns)])
    circle, begins = int(begins[-1]), begins[:-1]
    kinds = np.zeros((len(begins) + 1, 4), dtype=np.int64)
    kinds[1:] = np.cumsum(tape.ops["kind"][:, None] == np.arange(4), axis=0)

    def before(tape_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        rounds, rest = np.divmod(tape_ns, circle)
        return np.asarray(rounds[:, None] * kinds[-1] + kinds[np.searchsorted(begins, rest, side="left")])

    starts = tape.starts[iteration]
    first = begins[starts["row"]]
    opens = first + plan.phases.lead_ns(iteration) - starts["delay_ns"]
    return before(np.maximum(opens + plan.phases.measure_ns, first)) - before(np.maximum(opens, first))


def relative_mix(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(counts / counts.sum() / np.array(mix.CLASS_SHARES) - 1)


@pytest.mark.parametrize("measure_s", [15, 20])
def test_every_window_has_the_intended_mix(measure_s: int) -> None:
    phases = dataclasses.replace(PLAN.phases, measure_ns=measure_s * NS_PER_S)
    for seed in range(5):
        plan = dataclasses.replace(PLAN, seed=seed, phases=phases)
        tape = compile_tape(plan)
        times = line_times_ns(tape)
        slower = (times * np.random.default_rng(seed).uniform(1.0, 1.2, len(times))).astype(np.int64)
        for iteration in range(3):
            counts = started(plan, tape, iteration, times)
            assert np.abs(relative_mix(counts.sum(axis=0))).max() < 0.05
            assert np.abs(relative_mix(started(plan, tape, iteration, slower).sum(axis=0))).max() < 0.10
            by_vm = counts.reshape(16, 20, 4).sum(axis=1)
            assert by_vm.sum(axis=1).min() / by_vm.sum(axis=1).max() > 0.8


def test_connections_are_evenly_spaced_when_the_window_opens(tape: OpTape) -> None:
    ops = tape.ops
    num = (tape.checks["content_bytes"][ops["check"]][:, None] == files.FILE_BYTES[ops["kind"]]).argmax(axis=1)
    times = compile_.line_times_ns(ops["group"].astype(np.int64), ops["kind"].astype(np.int64), num, PLAN.line_bps)
    begins = np.concatenate([[0], np.cumsum(times)])
    for iteration in range(3):
        starts = tape.starts[iteration]
        places = begins[starts["row"]] + PLAN.phases.lead_ns(iteration) - starts["delay_ns"]
        places = places % begins[-1]
        assert places[0] in begins  # the window of the first connection begins with the first operation of the round
        gaps = np.diff(places) % begins[-1]
        assert gaps.tolist() == pytest.approx([PLAN.phases.measure_ns] * 319, abs=1)


@pytest.mark.parametrize("phases", [QUICK, dataclasses.replace(QUICK, iterations=1), FULL])
def test_the_timings_of_a_plan_are_those_of_its_tape(phases: Phases) -> None:
    plan = dataclasses.replace(PLAN, vms=4, phases=phases)
    tape, timings = compile_tape(plan), compile_.timings(plan)
    assert timings.starts.tolist() == tape.starts.tolist()
    around = timings.reply_bytes - tape.checks["content_bytes"][tape.ops["check"]]
    assert around.tolist() == np.where(tape.ops["group"] == mix.STATIC, 200, 375).tolist()


def test_iterations_play_different_operations(tape: OpTape) -> None:
    assert tape.starts.shape == (3, 320)
    rows = tape.starts["row"].astype(np.int64)
    assert len(np.unique(rows)) > 0.9 * rows.size
    assert not (rows[0] == rows[1]).any()


def test_connections_start_inside_an_operation_during_ramp_up(tape: OpTape) -> None:
    delays = tape.starts["delay_ns"]
    ramp_up = PLAN.phases.ramp_up_ns
    longest = line_times_ns(tape, 1000).max()
    assert delays.min() >= 0
    assert delays.max() < ramp_up + longest
    # a third of a connection's time is class 3, so a third of the connections are inside one at any time
    waits = delays - np.minimum(delays, ramp_up)
    assert 0.15 < (waits > NS_PER_S).mean() < 0.6


@pytest.mark.parametrize(
    "plan",
    [
        SpecPlan(vms=1, connections=1),
        SpecPlan(vms=1, connections=2, phases=Phases(
            ramp_up_ns=0, warmup_ns=0, measure_ns=NS_PER_S, ramp_down_ns=0, iterations=1)),
        SpecPlan(vms=16, connections=63, phases=FULL),
        SpecPlan(vms=1, connections=1000),
        SpecPlan(vms=3, connections=7, line_bps=10**12),
        SpecPlan(vms=3, connections=7, line_bps=8, bound=Bound.rate(8)),
    ],
)  # fmt: skip
def test_tapes_of_all_sizes_are_limited_and_complete(plan: SpecPlan) -> None:
    tape = compile_tape(plan)
    assert 0 < len(tape.ops) <= MAX_ROWS
    assert tape.starts.shape == (plan.phases.iterations, plan.total_connections)
    assert tape.starts["row"].max() < len(tape.ops)
    assert tape.starts["delay_ns"].min() >= 0
    for column in ("line", "rest", "cookie", "literal"):
        assert tape.ops[column].max() < len(tape.strings)
    assert tape.ops["check"].max() < len(tape.checks)


def test_a_folded_tape_keeps_its_mix_and_spreads_the_connections_of_a_vm() -> None:
    plan = SpecPlan(vms=16, connections=63, phases=dataclasses.replace(FULL, measure_ns=120 * NS_PER_S))
    tape = compile_tape(plan)
    for iteration in range(3):
        counts = started(plan, tape, iteration, line_times_ns(tape))
        assert np.abs(relative_mix(counts.sum(axis=0))).max() < 0.02
    of_first_vm = np.sort(tape.starts["row"][0][:63].astype(np.int64))
    gaps = np.diff(of_first_vm, append=of_first_vm[0] + len(tape.ops))
    assert gaps.max() < 4 * len(tape.ops) / 63


@pytest.mark.parametrize("connections", [1, 5])
def test_the_shortest_run_has_the_mix_too(connections: int) -> None:
    phases = dataclasses.replace(QUICK, measure_ns=NS_PER_S, warmup_ns=0, ramp_up_ns=0, iterations=1)
    tape = compile_tape(SpecPlan(vms=1, connections=connections, phases=phases))
    shares = np.bincount(tape.ops["kind"], minlength=4) / len(tape.ops)
    assert np.all(np.abs(shares / tape.kind_shares - 1) < 0.3)
    assert len(np.unique(tape.starts["row"])) == connections
