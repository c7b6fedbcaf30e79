from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.errors import PlanError
from loadgen.model.units import (
    NS_PER_MS,
    NS_PER_S,
    counted,
    format_duration,
    format_size,
    format_window,
    number,
    parse_duration_ns,
    parse_per_s,
    parse_rate_bps,
    parse_size_bytes,
)


@given(st.integers(0, 10**18))
def test_a_duration_survives_conversion_to_text(duration_ns: int) -> None:
    assert parse_duration_ns(format_duration(duration_ns)) == duration_ns


@given(st.integers(0, 10**5), st.sampled_from(["ns", "us", "ms", "s", "m", "h"]))
def test_the_text_of_a_duration_is_the_shortest(number: int, unit: str) -> None:
    text = f"{number}{unit}"
    assert len(format_duration(parse_duration_ns(text))) <= max(len(text), len("0s"))


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("20s", 20 * NS_PER_S),
        ("20", 20 * NS_PER_S),
        ("250ms", 250 * NS_PER_MS),
        (" 1.5 m ", 90 * NS_PER_S),
        ("1h", 3600 * NS_PER_S),
        ("3µs", 3000),
        ("3us", 3000),
        ("7ns", 7),
        ("0.1", 100 * NS_PER_MS),  # exact to the nanosecond: no binary fractions
        ("0", 0),
        ("1e3", 1000 * NS_PER_S),
        ("1e3ms", NS_PER_S),
        ("2.5E-1s", 250 * NS_PER_MS),
        (".5s", 500 * NS_PER_MS),
        ("1m30s", 90 * NS_PER_S),
        ("1h 2m 3s", 3723 * NS_PER_S),
        ("1s500ms", 1500 * NS_PER_MS),
        ("1.5m10s", 100 * NS_PER_S),
        ("3μs", 3000),  # the Greek letter; above, it was the micro sign
        ("10sec", 10 * NS_PER_S),
        ("2min", 120 * NS_PER_S),
        ("2 minutes", 120 * NS_PER_S),
        ("1 hour 30 secs", 3630 * NS_PER_S),
    ],
)
def test_durations_are_read(text: str, duration_ns: int) -> None:
    assert parse_duration_ns(text) == duration_ns


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [(0, "0s"), (1, "1ns"), (1_500_000_000, "1500ms"), (90 * NS_PER_S, "90s"), (7200 * NS_PER_S, "2h")],
)
def test_durations_are_written(duration_ns: int, text: str) -> None:
    assert format_duration(duration_ns) == text


@given(st.integers(0, 10**9), st.sampled_from([("", 1), ("k", 10**3), ("M", 10**6), ("G", 10**9)]))
def test_a_rate_may_have_any_multiple_and_any_name_of_bits_per_second(number: int, multiple: tuple[str, int]) -> None:
    letter, factor = multiple
    for unit in ("", "bit/s", "bps", "bit"):
        assert parse_rate_bps(f"{number}{letter}{unit}") == number * factor


def test_a_rate_may_have_a_fraction() -> None:
    assert parse_rate_bps("1.5M") == 1_500_000
    assert parse_rate_bps("0.1k") == 100


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "s",
            "ten s",
            "-1s",
            "1 fortnight",
            "1e",
            "1s2",
            "1,5s",
            "nan",
            "inf",
            "30s1m",
            "1s1s",
            "1:30",
            "1d",
            "٣s",
        ),
        *("1m-30s", "1e99999999999s", "9" * 40),
    ],
)
def test_invalid_durations_are_quoted(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_duration_ns(text)
    assert caught.value.message.startswith(f"{text!r} is not a duration")
    assert caught.value.hint or re.search("too large|more than", caught.value.message)


@pytest.mark.parametrize("text", ["", "k", "fast", "-4k", "4 parsecs", "400kB/s", "400kBps", "4/s", "1e400", "1k5"])
def test_invalid_rates_are_quoted(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_rate_bps(text)
    assert caught.value.message.startswith(f"{text!r} is not a rate")
    assert caught.value.hint or re.search("too large|more than", caught.value.message)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (parse_duration_ns, "876001h"),
        (parse_duration_ns, "1e10"),
        (parse_rate_bps, "1e19"),
        (parse_size_bytes, "1e19"),
        (parse_size_bytes, "2000000000G"),
    ],
)
def test_numbers_beyond_64_bits_are_refused(read: Callable[[str], int], text: str) -> None:
    with pytest.raises(PlanError, match=r"is not a .*: it is more than"):
        read(text)


def test_numbers_of_rates_and_sizes_may_have_an_exponent() -> None:
    assert parse_rate_bps("1e6") == parse_rate_bps("1e3k") == 1_000_000
    assert parse_rate_bps("10Mb/s") == 10_000_000
    assert parse_size_bytes("1e3") == 1000


@pytest.mark.parametrize(
    ("text", "per_s"),
    [
        ("5000", 5000.0),
        ("5000/s", 5000.0),
        ("5k/s", 5000.0),
        ("5k", 5000.0),
        ("1.5K /s", 1500.0),
        ("1e3", 1000.0),
        ("1M", 1e6),
        ("30/m", 0.5),
        ("30/min", 0.5),
        ("30/minute", 0.5),
        ("10/second", 10.0),
        ("300/1m", 5.0),
        ("300/10s", 30.0),
        ("36/h", 0.01),
        ("1/100ms", 10.0),
        ("6k/m", 100.0),
    ],
)
def test_rates_are_read_per_any_time(text: str, per_s: float) -> None:
    assert parse_per_s(text) == pytest.approx(per_s, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("30m", "write 30/m, or 30M/s for millions"),
        ("30 m", "write 30/m, or 30M/s for millions"),
        ("30m/s", "write 30M/s for millions"),
        ("30s", "write 30/s"),
        ("30min", "write 30/min"),
    ],
)
def test_a_rate_of_two_meanings_is_refused_with_both(text: str, hint: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_per_s(text)
    assert "ambiguous" in caught.value.message
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "text", ["", "/s", "fast", "-1/s", "0", "0/s", "5/", "5//s", "5/0s", "5/fortnight", "5k/2", "1e400"]
)
def test_other_rates_are_refused(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_per_s(text)
    assert repr(text) in caught.value.message
    assert caught.value.hint or "too large" in caught.value.message


def test_the_unit_of_a_rate_is_not_called_that_of_a_duration() -> None:
    with pytest.raises(PlanError, match="'1/d' is not a rate: unknown unit 'd'"):
        parse_per_s("1/d")


def test_a_bare_number_is_refused_where_its_unit_is_in_doubt() -> None:
    with pytest.raises(PlanError, match="'50' has no unit") as caught:
        parse_duration_ns("50", bare=False)
    assert caught.value.hint == "write 50ms or 50s"
    assert parse_duration_ns("0", bare=False) == 0


@given(st.integers(0, 1 << 50))
def test_a_size_survives_conversion_to_text(size_bytes: int) -> None:
    assert parse_size_bytes(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("16K", 16384),
        ("16k", 16384),
        ("16KB", 16384),
        ("16KiB", 16384),
        ("1M", 1 << 20),
        ("1.5M", 3 << 19),
        ("2 G", 1 << 31),
        ("65536", 65536),
        ("0", 0),
    ],
)
def test_sizes_are_read(text: str, size_bytes: int) -> None:
    """Multiples are binary, as in iperf3."""
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize(("size_bytes", "text"), [(0, "0"), (1000, "1000"), (16384, "16K"), (3 << 19, "1536K")])
def test_sizes_are_written(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@pytest.mark.parametrize("text", ["", "K", "big", "-4K", "4 furlongs", "16Kb", "16Kbit", "1e400", "16K1"])
def test_invalid_sizes_are_quoted(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_size_bytes(text)
    assert caught.value.message.startswith(f"{text!r} is not a size")
    assert caught.value.hint or re.search("too large|more than", caught.value.message)


def test_the_default_window_has_a_name() -> None:
    assert [format_window(size) for size in (0, 16384)] == ["auto", "16K"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(8705.3, "8,705"), (15880.2, "15,880"), (1e6, "1,000,000"), (50.0, "50"), (5.0014, "5.001"), (0.12346, "0.1235")],
)
def test_large_numbers_have_their_thousands_separated(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 VMs"), (1, "1 VM"), (4, "4 VMs")])
def test_a_number_has_its_noun_in_the_right_form(count: int, text: str) -> None:
    assert counted(count, "VM") == text
