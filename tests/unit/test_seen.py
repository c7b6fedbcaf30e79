"""What was seen of failed operations: texts on the wire, and sentences about them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.cells import Cell
from loadgen.measure.codes import add_codes, codes_of, count_codes
from loadgen.measure.histogram import Histogram
from loadgen.measure.shown import Shown, escaped, first_of, read_shown
from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.verdict.seen import say_codes, say_seen, say_statuses

TARGETS = tuple(Target(name=f"vm{i}", host="h", port=80 + i, tls=i == 2) for i in range(12))


def cell(outcomes: dict[Outcome, int], statuses: dict[int, int] | None = None, surplus: int = 0) -> Cell:
    empty = Cell.empty(1, 1)
    for outcome, number in outcomes.items():
        empty.outcomes[outcome] = number
    codes = [code for code, number in (statuses or {}).items() for _ in range(number)]
    return dataclasses.replace(empty, statuses=Histogram.of(np.array(codes, np.int64)), surplus=surplus)


def said(*shown: Shown) -> list[str]:
    known: dict[tuple[int, Outcome], Shown] = {}
    first_of(known, shown)
    return say_seen(known, TARGETS, {})


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (b"\x15\x03\x01\x00", "https://"),
        (b"\x00\x00\x12\x04", "HTTP/2"),
        (b"SSH-2.0-OpenSSH", "SSH server"),
        (b"no colon \x1b[31m", r'"no colon \x1b[31m"'),
    ],
)
def test_a_line_is_shown_with_a_hint_at_what_the_server_speaks(text: bytes, hint: str) -> None:
    (sentence,) = said(Shown(1, Outcome.MALFORMED, escaped(text)))
    assert sentence.startswith("vm1 sent a reply that is not understood, because of ")
    assert hint in sentence
    assert sentence.isascii()
    assert sentence.isprintable()


def test_the_first_text_of_each_target_and_outcome_is_said() -> None:
    sentences = said(
        Shown(0, Outcome.MALFORMED, "one"),
        Shown(0, Outcome.MALFORMED, "two"),
        Shown(0, Outcome.HEAD_TOO_LARGE, "three"),
        Shown(2, Outcome.BAD_TLS, "the server requires a client certificate"),
        Shown(500, Outcome.MALFORMED, "no such target"),
    )
    assert len(sentences) == 3
    assert '"one"' in sentences[0]
    assert sentences[2] == "vm2: the server requires a client certificate"


def test_many_targets_are_summed_up() -> None:
    sentences = said(*(Shown(number, Outcome.MALFORMED, "x") for number in range(12)))
    assert len(sentences) == 9
    assert sentences[-1] == "the same of 4 more targets"


def test_a_target_that_never_answers_may_want_tls() -> None:
    silent = cell({Outcome.NO_REPLY: 5, Outcome.CUT: 1})
    assert "use https://" in say_seen({}, TARGETS, {(0, 1): silent})[0]
    assert say_seen({}, TARGETS, {(0, 2): silent}) == []  # it is asked by TLS
    assert say_seen({}, TARGETS, {(0, 1): silent, (-1, 1): cell({Outcome.OK: 1})}) == []
    assert say_seen({}, TARGETS, {(0, 1): cell({Outcome.NO_REPLY: 5, Outcome.RESET: 1})}) == []


def test_surplus_bytes_are_counted_over_the_whole_run() -> None:
    cells = {(-1, 0): cell({Outcome.OK: 9}, surplus=1), (0, 0): cell({Outcome.OK: 9}, surplus=2)}
    assert "after 3 replies" in say_seen({}, TARGETS, cells)[0]


def test_wrong_status_codes_are_said() -> None:
    cells = {
        (0, 0): cell({Outcome.OK: 3, Outcome.BAD_STATUS: 3}, {200: 3, 404: 1, 503: 2}),
        (0, 1): cell({Outcome.OK: 3}, {302: 3}),
    }
    assert say_statuses(TARGETS, cells) == ["status codes where some were wrong: vm0 200 (3), 404 (1), 503 (2)"]
    assert say_codes(cells[0, 0]) == "503, 404"
    assert say_codes(cells[0, 1]) == ""
    assert say_codes(cell({Outcome.BAD_STATUS: 1}, {200: 1})) == "200"  # where another one was wanted


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 200, 302, 404])), max_size=40))
def test_codes_are_counted_exactly(operations: list[tuple[int, int]]) -> None:
    found = count_codes(
        np.array([c for c, _ in operations], np.int64), np.array([s for _, s in operations], np.int64), 4
    )
    for number in range(4):
        codes = [code for which, code in operations if which == number and code]
        assert codes_of(found[number]) == {code: codes.count(code) for code in sorted(set(codes))}
        assert found[number] == Histogram.of(np.array(codes, np.int64))
    usual, times = np.zeros(4, np.int64), np.zeros(4, np.int64)
    others = []
    for which, code in operations:
        if (code and times[which] in (0,)) or (code and usual[which] == code):
            usual[which], times[which] = code, times[which] + 1
        elif code:
            others.append(which << 16 | code)
    assert list(add_codes(usual, times, np.array(others, np.int64), 4)) == list(found)


@pytest.mark.parametrize(
    "wire",
    [
        {"shown": 5},
        {"shown": [5]},
        {"shown": [[0, 9]]},
        {"shown": [[-1, 9, "x"]]},
        {"shown": [[0, 99, "x"]]},
        {"shown": [[0, 9, "\x1b[31m"]]},
        {"shown": [[0, 9, "x" * 5000]]},
        {"shown": [[0, 9, b"x"]]},
    ],
)
def test_invalid_texts_are_refused(wire: dict[str, object]) -> None:
    assert read_shown({}) == ()
    assert read_shown({"shown": [[3, 9, "x"]]}) == (Shown(3, Outcome.MALFORMED, "x"),)
    with pytest.raises(ValueError, match=r"shown|target|outcome"):
        read_shown(wire)
