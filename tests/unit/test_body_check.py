"""The body check accepts correct bodies in any pieces, and finds each wrong byte that is checked."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from loadgen.engine.body import BodyCheck, BodySpec
from loadgen.model.outcome import Outcome
from loadgen.schedule.optape import CHECK_DTYPE, StringsBuilder

PREFIX, STRIDE, PERIOD = b"      200 name\n", 32, b"xyz"
LITERAL, LITERAL_AT = b"LITERAL", (40, 100)
ANCHOR, SUFFIX = b"<pre>\n", b"\n</pre>"


def spec(*, framed: bool = True, size: int = 200) -> BodySpec:
    strings = StringsBuilder()
    row = np.zeros(1, dtype=CHECK_DTYPE)
    row[0] = (
        strings.add(ANCHOR if framed else b""),
        size,
        strings.add(PREFIX),
        strings.add(PERIOD),
        STRIDE,
        strings.add(SUFFIX if framed else b""),
        LITERAL_AT,
    )
    return BodySpec.decode(row[0], strings.build())


def right_body(*, framed: bool = True, size: int = 200) -> bytes:
    content = bytearray(PREFIX + b"." * (size - len(PREFIX)))
    for j, at in enumerate(range(len(PREFIX), size, STRIDE)):
        content[at] = PERIOD[j % len(PERIOD)]
    for at in LITERAL_AT:
        content[at : at + len(LITERAL)] = LITERAL
    return b"<html>" + ANCHOR + bytes(content) + SUFFIX if framed else bytes(content)


def verdict(body: bytes, cuts: list[int] | None = None, *, framed: bool = True) -> Outcome:
    check = BodyCheck()
    check.begin(spec(framed=framed), LITERAL)
    edges = [0, *sorted({cut % (len(body) + 1) for cut in cuts or []}), len(body)]
    for low, high in itertools.pairwise(edges):
        if not check.look(b"??" + body[low:high] + b"??", 2, 2 + high - low):
            break
    return check.verdict()


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=8), framed=st.booleans())
def test_a_correct_body_passes_in_any_pieces(cuts: list[int], framed: bool) -> None:
    assert verdict(right_body(framed=framed), cuts, framed=framed) is Outcome.OK
    assert verdict(right_body(framed=framed), list(range(300)), framed=framed) is Outcome.OK


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=8), at=st.integers(0, 199))
def test_every_wrong_checked_byte_is_found(cuts: list[int], at: int) -> None:
    body = bytearray(right_body(framed=False))
    body[at] ^= 0xFF
    checked = at < len(PREFIX) or (at - len(PREFIX)) % STRIDE == 0
    checked = checked or any(low <= at < low + len(LITERAL) for low in LITERAL_AT)
    expected = Outcome.BAD_CONTENT if checked else Outcome.OK
    assert verdict(bytes(body), cuts, framed=False) is expected


@pytest.mark.parametrize("framed", [True, False])
def test_a_wrong_length_is_told_apart_from_wrong_bytes(framed: bool) -> None:
    body = right_body(framed=framed)
    assert verdict(body[:-1], framed=framed) is Outcome.BAD_LENGTH
    assert verdict(body + b"!", framed=framed) is Outcome.BAD_LENGTH


def test_a_page_without_its_anchor_or_with_a_wrong_end_is_rejected() -> None:
    body = right_body()
    assert verdict(body.replace(ANCHOR, b"<PRE>\n")) is Outcome.BAD_CONTENT
    assert verdict(body[:-1] + b"!") is Outcome.BAD_CONTENT
    assert verdict(b"") is Outcome.BAD_CONTENT


def test_a_body_without_an_anchor_is_rejected_early() -> None:
    check = BodyCheck()
    check.begin(spec(), b"")
    looked = 0
    while check.look(b"x" * 1000, 0, 1000):
        looked += 1
        assert looked < 20
    assert check.verdict() is Outcome.BAD_CONTENT


def test_an_endless_body_is_rejected() -> None:
    check = BodyCheck()
    check.begin(spec(framed=False), LITERAL)
    looked = 0
    while check.look(b"x" * 10_000, 0, 10_000):
        looked += 1
        assert looked < 20
    assert check.verdict() is Outcome.BAD_LENGTH


def test_without_an_expectation_any_body_is_accepted() -> None:
    check = BodyCheck()
    check.begin(BodySpec(b"", -1, b"", b"", 0, b"", ()), b"")
    assert check.look(b"whatever", 0, 8)
    assert check.verdict() is Outcome.OK
