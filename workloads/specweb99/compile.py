"""Compiles the workload: one circular tape of operations, and the place on it where each connection starts.

Each operation lasts as long as its bytes take at line speed, so the tape is a circle in time, along which every
connection moves.  In one measured window of W seconds, N connections pass N * W connection-seconds of tape.  The tape
has one *round* of that length per iteration, and the connections start evenly spaced on it.  So together they play
every operation of the round once: the mix of a window is that of whole decks, not a matter of chance.  The rounds of
long runs are folded: then a whole number of connections play each operation, at times that are far apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.model.plan import LastAd, SpecPlan
from loadgen.model.units import NS_PER_S
from loadgen.schedule.optape import (
    CHECK_DTYPE,
    CLOSE_AFTER,
    KEEP_ALIVE,
    OP_DTYPE,
    START_DTYPE,
    OpTape,
    StringsBuilder,
)
from loadgen.schedule.timings import Timings
from workloads.circle import stride, within_window
from workloads.deal import deal_sessions
from workloads.specweb99 import ads, files, mix, page, urls

MAX_ROWS = 100_000
"""The greatest number of rows; at 3.3 operations per second, one connection needs over 8 hours for them."""

_DECK = sum(mix.CLASS_DECK)
_LEAST_ROWS = 4 * _DECK
_HEAD_BYTES = 230  # head of a common server's reply; only the places where connections start depend on it
_PAGE_BYTES = 340  # the page of a dynamic operation adds these, with its longer head
# Of the content, the reply of a server is longer by these: measured with GET requests, the builtin server (static 139,
# dynamic 377), Apache 2.4 (203, 368) and nginx 1.22 (240, 378) differ from them by at most 61.
_STATIC_BYTES, _DYNAMIC_BYTES, _DOUBT_BYTES = 200, 375, 100


@dataclass(frozen=True, slots=True)
class _Draws:
    """The operation of each row and its duration; arrays of equal length.

    `user` and `last_ad` are used by CAD and POST rows only.
    """

    group: NDArray[np.int64]
    class_: NDArray[np.int64]
    num: NDArray[np.int64]
    directory: NDArray[np.int64]
    keep_alive: NDArray[np.bool_]
    last: NDArray[np.bool_]
    user: NDArray[np.int64]
    last_ad: NDArray[np.int64]
    line_time_ns: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Layout:
    """The tape has `rounds`, each `round_ns` long; `folds` connections play each of its operations."""

    rounds: int
    folds: int
    round_ns: int


def compile_tape(plan: SpecPlan) -> OpTape:
    """The tape of a plan; it does not depend on the number of engines.

    `kind` is the file class, `group` the type of the operation.  The user of each CAD or POST request is drawn
    uniformly; there are as many users as the largest VM has connections.
    """
    layout = _layout(plan)
    rng = np.random.default_rng((0x99_0020, plan.seed % 2**64))
    answers = urls.expected_ads(plan)
    round_rows, draws = _draw(plan, layout, answers, rng)
    ops, checks, strings = _rows(draws, answers)
    return OpTape(
        ops=ops,
        checks=checks,
        strings=strings.build(),
        starts=_starts(plan, layout, round_rows, draws.line_time_ns, rng),
        kinds=mix.KINDS,
        groups=mix.GROUPS,
        kind_shares=mix.CLASS_SHARES,
    )


def timings(plan: SpecPlan) -> Timings:
    """The length of each reply of the plan's tape, and where its connections start.

    This costs much less than the tape itself, in particular for a plan with one iteration.
    """
    layout = _layout(plan)
    rng = np.random.default_rng((0x99_0020, plan.seed % 2**64))
    if plan.phases.iterations > 1:
        round_rows, draws = _draw(plan, layout, urls.expected_ads(plan), rng)
        group, class_, num, line_time_ns = draws.group, draws.class_, draws.num, draws.line_time_ns
    else:  # the other draws are not needed, because the only iteration starts at the beginning of the tape
        group, class_, num = _deal_round(plan, layout, rng)
        round_rows, line_time_ns = [len(group)], line_times_ns(group, class_, num, plan.line_bps)
    starts = _starts(plan, layout, round_rows, line_time_ns, rng)
    reply_bytes = files.FILE_BYTES[class_, num] + np.where(group == mix.STATIC, _STATIC_BYTES, _DYNAMIC_BYTES)
    return Timings(reply_bytes.astype(np.int64), starts, doubt_bytes=_DOUBT_BYTES)


def line_times_ns(
    group: NDArray[np.int64], class_: NDArray[np.int64], num: NDArray[np.int64], line_bps: int
) -> NDArray[np.int64]:
    """The duration of each operation when only the line speed limits it."""
    reply_bytes = files.FILE_BYTES[class_, num] + _HEAD_BYTES + np.where(group == mix.STATIC, 0, _PAGE_BYTES)
    return np.asarray(reply_bytes * 8 * NS_PER_S // line_bps, dtype=np.int64)


def _mean_line_time_ns(line_bps: int) -> float:
    shares = np.array(mix.CLASS_SHARES)[:, None] * mix.file_shares()
    mean_bytes = float((shares * files.FILE_BYTES).sum()) + _HEAD_BYTES + _PAGE_BYTES * (1 - mix.OP_SHARES[mix.STATIC])
    return 8 * NS_PER_S * mean_bytes / line_bps


def _layout(plan: SpecPlan) -> _Layout:
    mean_ns = _mean_line_time_ns(plan.line_bps)
    # With so few operations that no deck is dealt to its end, the mix would differ from the intended one.
    passed_ns = max(plan.total_connections * plan.phases.measure_ns, int(_LEAST_ROWS * mean_ns))
    folds = math.ceil(passed_ns / mean_ns / MAX_ROWS)
    rounds = plan.phases.iterations
    if passed_ns * rounds / mean_ns > MAX_ROWS:
        rounds = 1
    return _Layout(rounds, folds, round_ns=passed_ns // folds)


def _deal_round(
    plan: SpecPlan, layout: _Layout, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Group, class and file number of each operation of a round, dealt from new decks until its time is filled."""
    mean_ns = _mean_line_time_ns(plan.line_bps)
    most = MAX_ROWS // layout.rounds
    enough = min(most, 2 * _DECK + int(1.1 * layout.round_ns / mean_ns))  # 1.1: the files may be smaller than the mean
    group = mix.deal_groups(enough, rng)
    class_ = mix.deal_classes(enough, rng)
    num = mix.deal_files(class_, rng)
    ends = np.cumsum(line_times_ns(group, class_, num, plan.line_bps))
    rows = min(enough, 1 + int(np.searchsorted(ends, layout.round_ns)))
    return group[:rows], class_[:rows], num[:rows]


def _draw(plan: SpecPlan, layout: _Layout, answers: ads.Expected, rng: np.random.Generator) -> tuple[list[int], _Draws]:
    """The number of rows of each round, and all rows."""
    dealt = [_deal_round(plan, layout, rng) for _ in range(layout.rounds)]
    group, class_, num = (np.concatenate(column) for column in zip(*dealt, strict=True))
    rows = len(group)
    keep_alive, last = deal_sessions(rows, rng)
    user = rng.integers(urls.users(plan), size=rows)
    last_ad = rng.integers(ads.ADS, size=rows)
    if plan.last_ad is LastAd.PREVIOUS:
        last_ad = _chain(user, last_ad[0], group == mix.CAD, answers)
    draws = _Draws(
        group=group,
        class_=class_,
        num=num,
        directory=mix.draw_directories(rows, urls.directories(plan), rng),
        keep_alive=keep_alive,
        last=last,
        user=user,
        last_ad=last_ad,
        line_time_ns=line_times_ns(group, class_, num, plan.line_bps),
    )
    return [len(column[0]) for column in dealt], draws


def _chain(user: NDArray[np.int64], first: int, is_cad: NDArray[np.bool_], answers: ads.Expected) -> NDArray[np.int64]:
    """The Ad_id in the reply to the last CAD operation before each row; `first` before the first CAD operation."""
    last_ad = np.empty(len(user), dtype=np.int64)
    ad = int(first)
    answer = answers.ad.tolist()
    for row, (who, cad) in enumerate(zip(user.tolist(), is_cad.tolist(), strict=True)):
        last_ad[row] = ad
        if cad:
            ad = answer[who][ad]
    return last_ad


def _rows(draws: _Draws, answers: ads.Expected) -> tuple[NDArray[np.void], NDArray[np.void], StringsBuilder]:
    strings = StringsBuilder()
    ops = np.zeros(len(draws.group), dtype=OP_DTYPE)
    ops["next"] = np.roll(np.arange(len(ops)), -1)
    ops["status"] = 200
    ops["kind"] = draws.class_
    ops["group"] = draws.group
    ops["flags"] = draws.keep_alive * KEEP_ALIVE + draws.last * CLOSE_AFTER
    file = (draws.directory * files.CLASSES + draws.class_) * mix.FILES + draws.num
    _put_lines(ops, file, strings)
    _put_rests(ops, draws, answers, strings)
    return ops, _put_checks(ops, file, strings), strings


def _split(file: int) -> tuple[int, int, int]:
    directory, in_directory = divmod(file, files.FILES_PER_DIRECTORY)
    return directory, *divmod(in_directory, mix.FILES)


def _put_lines(ops: NDArray[np.void], file: NDArray[np.int64], strings: StringsBuilder) -> None:
    keys, inverse = np.unique(file * len(mix.GROUPS) + ops["group"], return_inverse=True)
    prefixes = {
        mix.STATIC: "GET ",
        mix.GET: f"GET {urls.DYNAMIC_GET}?",
        mix.CAD: f"GET {urls.DYNAMIC_CAD}?",
        mix.CGI: f"GET {urls.DYNAMIC_CGI}?",
    }
    lines = []
    for key in keys.tolist():
        key_file, group = divmod(key, len(mix.GROUPS))
        if group == mix.POST:
            line = f"POST {urls.DYNAMIC_POST} HTTP/1.1\r\n"
        else:
            line = f"{prefixes[group]}{urls.file_path(*_split(key_file))} HTTP/1.1\r\n"
        lines.append(strings.add(line.encode()))
    ops["line"] = np.array(lines)[inverse]


def _put_rests(ops: NDArray[np.void], draws: _Draws, answers: ads.Expected, strings: StringsBuilder) -> None:
    """Set the headers and bodies of all rows, and the expected contents of replies to CAD and POST operations."""
    common = "User-Agent: loadgen\r\n"
    plain = [strings.add(f"{common}{close}\r\n".encode()) for close in ("", "Connection: close\r\n")]
    ops["rest"] = np.array(plain)[draws.last.astype(np.int64)]
    for row in np.flatnonzero((draws.group == mix.CAD) | (draws.group == mix.POST)).tolist():
        user, last_ad, class_ = int(draws.user[row]), int(draws.last_ad[row]), int(draws.class_[row])
        head = common + ("Connection: close\r\n" if draws.last[row] else "")
        head += f"Cookie: {ads.request_cookie(user, last_ad)}\r\n"
        if draws.group[row] == mix.CAD:
            rest, cookie = f"{head}\r\n", answers.cookie(user, last_ad)
            if files.TAGS[class_]:
                ops["literal"][row] = strings.add(ads.tag_text(int(answers.ad[user, last_ad])).encode())
        else:
            # the row is the client number: the log of a server alone then names the operation
            body = urls.post_body(int(draws.directory[row]), class_, int(draws.num[row]), row)
            rest = f"{head}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            cookie = ads.user_cookie(user)
        ops["rest"][row] = strings.add(rest.encode())
        ops["cookie"][row] = strings.add(cookie.encode())


def _put_checks(ops: NDArray[np.void], file: NDArray[np.int64], strings: StringsBuilder) -> NDArray[np.void]:
    """The checks of replies: one row for each file as a static reply, and one for each file in a page."""
    keys, inverse = np.unique(file * 2 + (ops["group"] != mix.STATIC), return_inverse=True)
    ops["check"] = inverse
    directory, in_directory = np.divmod(keys // 2, files.FILES_PER_DIRECTORY)
    class_, num = np.divmod(in_directory, mix.FILES)
    in_page = keys % 2 == 1
    checks = np.zeros(len(keys), dtype=CHECK_DTYPE)
    checks["anchor"] = in_page * strings.add(page.ANCHOR)
    checks["suffix"] = in_page * strings.add(page.SUFFIX)
    checks["content_bytes"] = files.FILE_BYTES[class_, num]
    checks["stride_bytes"] = files.STRIDE_BYTES
    named = [_split(key) for key in (keys // 2).tolist()]
    checks["prefix"] = [strings.add(files.header(*who)) for who in named]
    checks["period"] = [strings.add(files.name(*who).encode()) for who in named]
    tags = files.tag_offsets(directory, class_, num)
    checks["literal_at"] = np.where(in_page[:, None] & (tags >= 0), tags + len(files.TAG_OPEN), -1)
    return checks


def _starts(
    plan: SpecPlan,
    layout: _Layout,
    round_rows: list[int],
    line_time_ns: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.void]:
    """The rows where connections start, and their delays; shape (iterations, connections).

    A connection arrives during ramp-up *inside* an operation, as if it had been active before; its first operation
    is due when that one ends.  Its place is chosen so that the connections are evenly spaced on the round when the
    measured window begins.
    """
    total = plan.total_connections
    ends = np.cumsum(line_time_ns)
    circle = int(ends[-1])
    round_begins = [0, *ends[np.cumsum(round_rows) - 1].tolist()]
    # Connections with neighbouring numbers belong to one VM.  Without folds they get neighbouring stretches of tape,
    # so each VM gets whole decks.  With folds, stretches overlap: the connections of a VM are spread over the tape, so
    # that they share as little as possible.
    slots = np.arange(total) * (1 if layout.folds == 1 else stride(total)) % total
    arrival = np.arange(total) * stride(total) % total  # the VMs ramp up at the same time, not one after the other
    arrival_ns = arrival * plan.phases.ramp_up_ns // total
    starts = np.zeros((plan.phases.iterations, total), dtype=START_DTYPE)
    for iteration in range(plan.phases.iterations):
        # an iteration that has a round begins at its start; otherwise at a random place
        begin = round_begins[iteration] if layout.rounds > 1 else int(rng.integers(circle)) if iteration else 0
        at_window = begin + slots * layout.round_ns // total
        at_arrival = (at_window - plan.phases.lead_ns(iteration) + arrival_ns) % circle
        inside = np.searchsorted(ends, at_arrival, side="right")
        starts["row"][iteration] = (inside + 1) % len(ends)
        delay_ns = arrival_ns + ends[inside] - at_arrival
        starts["delay_ns"][iteration] = within_window(delay_ns, plan.phases.lead_ns(iteration), plan.phases.measure_ns)
    return starts
