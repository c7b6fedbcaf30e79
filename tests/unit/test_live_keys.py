"""Keys of the live views: what a terminal sends, and which rows are shown then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.output.terminal.keys import UNTOUCHED, Controls, Decoder, Key, Order, Window, press, press_all, window

SENT = {
    b"j": Key.DOWN, b"k": Key.UP, b"\x1b[A": Key.UP, b"\x1b[B": Key.DOWN, b"\x1bOA": Key.UP, b"\x1bOB": Key.DOWN,
    b"\x1b[5~": Key.PAGE_UP, b"\x1b[6~": Key.PAGE_DOWN, b" ": Key.PAGE_DOWN, b"b": Key.PAGE_UP,
    b"\x1b[H": Key.HOME, b"\x1b[F": Key.END, b"\x1bOH": Key.HOME, b"\x1bOF": Key.END, b"\x1b[1~": Key.HOME,
    b"\x1b[4~": Key.END, b"\x1b[7~": Key.HOME, b"\x1b[8~": Key.END, b"\x1b[1;5A": Key.UP, b"\x1b[6;2~": Key.PAGE_DOWN,
    b"s": Key.SORT, b"?": Key.HELP, b"h": Key.HELP, b"g": Key.HOME, b"G": Key.END, b"q": Key.OTHER, b"/": Key.OTHER,
    b"\x1bx": Key.OTHER, b"\x1b[200~": Key.OTHER, b"\x1b[C": Key.OTHER, b"\x13": Key.OTHER, b"\xc3": Key.OTHER,
}  # fmt: skip


@pytest.mark.parametrize("sent", SENT, ids=repr)
def test_each_key_is_understood(sent: bytes) -> None:
    assert Decoder().feed(sent) == [SENT[sent]]


@given(keys=st.lists(st.sampled_from(sorted(SENT)), max_size=12), cuts=st.sets(st.integers(0, 80)))
def test_keys_may_arrive_in_any_parts(keys: list[bytes], cuts: set[int]) -> None:
    sent, decoder, found, begin = b"".join(keys), Decoder(), [], 0
    for end in [*sorted(cut for cut in cuts if cut < len(sent)), len(sent)]:
        found += decoder.feed(sent[begin:end])
        begin = end
    assert found == [SENT[key] for key in keys]
    assert decoder.idle() == []


@given(data=st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_are_kept_for_ever(data: list[bytes]) -> None:
    decoder = Decoder()
    for chunk in data:
        decoder.feed(chunk)
    decoder.idle()
    assert decoder.feed(b"s") == [Key.SORT]


def test_a_lone_escape_is_a_key_once_nothing_follows_it() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.idle() == [Key.ESCAPE]
    assert decoder.idle() == []
    assert decoder.feed(b"\x1b\x1b") == [Key.ESCAPE]


def at(total: int, rows: int, controls: Controls) -> Window:
    return window(total, rows, controls, Window(rows=min(rows, total), total=total, order=Order.WORST))


keys = st.lists(st.sampled_from(Key), max_size=40)


@given(total=st.integers(0, 1100), rows=st.integers(0, 60), pressed=keys)
def test_no_key_leaves_the_list(total: int, rows: int, pressed: list[Key]) -> None:
    controls = UNTOUCHED
    for key in pressed:
        controls = press(controls, key, at(total, rows, controls))
        shown = at(total, rows, controls)
        assert 0 <= shown.first <= shown.first + shown.rows <= total
        assert shown.rows == min(rows, total)


def walk(total: int, rows: int, *pressed: Key) -> Window:
    controls = UNTOUCHED
    for key in pressed:
        controls = press(controls, key, at(total, rows, controls))
    return at(total, rows, controls)


def test_pages_reach_each_of_1024_rows_and_the_ends_stop() -> None:
    seen: set[int] = set()
    for pages in range(70):
        shown = walk(1024, 17, *[Key.PAGE_DOWN] * pages)
        seen |= set(range(shown.first, shown.first + shown.rows))
    assert seen == set(range(1024))
    assert walk(1024, 17, Key.END, Key.PAGE_DOWN, Key.DOWN).first == 1024 - 17
    assert walk(1024, 17, Key.END, Key.UP).first == 1024 - 18
    assert walk(1024, 17, Key.END, Key.HOME, Key.PAGE_UP).first == 0


def test_the_order_changes_and_a_page_keeps_it() -> None:
    assert walk(100, 10).order is Order.WORST
    assert walk(100, 10, Key.PAGE_DOWN).order is Order.WORST
    given_order = walk(100, 10, Key.PAGE_DOWN, Key.SORT)
    assert (given_order.order, given_order.first) == (Order.GIVEN, 0)
    assert walk(100, 10, Key.SORT, Key.PAGE_DOWN).order is Order.GIVEN
    assert walk(100, 10, Key.SORT, Key.SORT).order is Order.WORST
    assert walk(100, 10, Key.SORT, Key.DOWN, Key.ESCAPE) == at(100, 10, UNTOUCHED)


def test_any_key_closes_the_help_and_does_nothing_else() -> None:
    open_help = press(Controls(first=3), Key.HELP, Window(rows=2, total=9))
    assert open_help == Controls(first=3, help=True)
    for key in Key:
        assert press(open_help, key, Window(rows=2, total=9)) == Controls(first=3)


def test_the_rows_are_said_in_words() -> None:
    assert Window(first=17, rows=17, total=1024).words("VMs") == "VMs 18-34 of 1,024"
    assert Window(rows=17, total=512, order=Order.WORST).words("VMs") == "the worst 17 of 512 VMs"
    assert Window(first=17, rows=17, total=512, order=Order.WORST).words("VMs") == "VMs 18-34 of 512, worst first"


def test_of_a_paste_only_the_first_keys_are_read() -> None:
    decoder = Decoder()
    assert len(decoder.feed(b"j" * 4096)) < 300
    assert decoder.feed(b"s") == [Key.SORT]
    assert len(decoder.feed(b"\x1b[" * 2048)) < 300
    assert decoder.feed(b"s") == [Key.SORT]


@given(total=st.integers(0, 1100), rows=st.integers(0, 60), pressed=keys)
def test_keys_that_arrive_together_do_what_they_do_one_by_one(total: int, rows: int, pressed: list[Key]) -> None:
    together = press_all(UNTOUCHED, pressed, at(total, rows, UNTOUCHED))
    controls = UNTOUCHED
    for key in pressed:
        controls = press(controls, key, at(total, rows, controls))
    assert together == controls or Key.ESCAPE in pressed  # after Escape, the view chooses when it is drawn
