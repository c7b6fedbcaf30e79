"""Joined snapshots separate unchanged, and invalid data raises ValueError."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.cells import CellTable
from loadgen.measure.events import apart, event_from_wire, event_to_wire
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.together import Snapshots, snapshots_of
from loadgen.measure.wire import MAX_NUMBER
from tests.support.evidence import snapshots
from tests.support.snapshots import cell, snapshot, tally

some = st.lists(snapshots(), min_size=1, max_size=3)
TWO = [
    snapshot("a/0", 3, {(0, 0): cell(5), (-1, 1): cell(2)}, (tally(-1, 4), tally(0, 2))),
    snapshot("a/1", 4, {(0, 0): cell(3)}, (tally(0, 1),)),
]
WIRE = Snapshots.of(TWO).to_wire()


def read_all(wire: object) -> list[Snapshot]:
    return Snapshots.from_wires([wire]).split()


@given(given=some)
def test_joined_snapshots_separate_unchanged(given: list[Snapshot]) -> None:
    wire = msgpack.unpackb(msgpack.packb(event_to_wire(Snapshots.of(given))))
    assert list(apart([event_from_wire(wire)])) == given


@given(given=some)
def test_a_separated_part_is_a_complete_snapshot(given: list[Snapshot]) -> None:
    read = read_all(Snapshots.of(given).to_wire())
    assert [Snapshot.from_wire(one.to_wire()) for one in read] == given
    assert read_all(Snapshots.of(read).to_wire()) == given
    assert list(snapshots_of(Snapshots.of(read).to_wire())) == given
    assert list(snapshots_of(given[0].to_wire())) == given[:1]
    tables = [CellTable.of(one.cells) for one in read]
    assert CellTable.merge_all(tables) == CellTable.merge_all(CellTable.of(one.cells) for one in given)


@given(given=some)
def test_connects_are_kept_by_snapshot_and_target(given: list[Snapshot]) -> None:
    for one, row in zip(given, Snapshots.of(given).connects().tolist(), strict=True):
        found = dict.fromkeys(range(len(row)), 0)
        for (_, target), counted in one.cells.items():
            found[target] += counted.connects
        assert dict(enumerate(row)) == found


@given(given=st.lists(some, min_size=1, max_size=3))
def test_several_wire_forms_are_read_as_one(given: list[list[Snapshot]]) -> None:
    wires = [msgpack.unpackb(msgpack.packb(Snapshots.of(one).to_wire())) for one in given]
    assert Snapshots.from_wires(wires).split() == [one for group in given for one in group]


def test_snapshots_with_different_kinds_are_not_joined() -> None:
    other = snapshot("a/1", 0, {(0, 0): type(cell(1)).empty(2, 2)})
    with pytest.raises(ValueError, match="dimension"):
        Snapshots.of([TWO[0], other])
    with pytest.raises(ValueError, match="differ in their numbers of kinds"):
        Snapshots.from_wires([WIRE, Snapshots.of([other]).to_wire()])


@pytest.mark.parametrize(
    ("field", "said"),
    [("cell_parts", "differs from the sum of their parts"), ("tally_parts", "bytes of tallies are not 2 rows")],
)
def test_surplus_data_of_one_snapshot_is_not_given_to_the_next(field: str, said: str) -> None:
    one, other = WIRE, Snapshots.of(TWO).to_wire()
    with pytest.raises(ValueError, match=said):
        Snapshots.from_wires([{**one, field: packed(2, 0)}, {**other, field: packed(3, 1)}])


@pytest.mark.parametrize("numbers", [{"kinds": 0}, {"groups": "x"}, {"kinds": 256}])
def test_a_snapshot_without_cells_is_checked_beside_others_too(numbers: dict[str, object]) -> None:
    quiet = Snapshots.of([snapshot("a/1", 0, {})]).to_wire()
    assert Snapshots.from_wires([WIRE, quiet]).workers == ("a/0", "a/1", "a/1")
    with pytest.raises(ValueError, match="field"):
        Snapshots.from_wires([WIRE, {**quiet, "cells": {**quiet["cells"], **numbers}}])


@pytest.mark.parametrize("value", [0, 1, 2**32 - 1, 2**32, MAX_NUMBER - 1])
def test_health_of_any_size_is_equal_when_joined(value: int) -> None:
    alone = {**TWO[0].health.to_wire(), "open_fds": value, "runqueue_ns": value - 1}
    health = Health.from_wire(alone)
    assert read_all(Snapshots.of([dataclasses.replace(TWO[0], health=health)]).to_wire())[0].health == health
    with pytest.raises(ValueError, match="open_fds"):
        Health.from_wire({**alone, "open_fds": MAX_NUMBER})


def test_histogram_sizes_that_overflow_are_refused() -> None:
    """The size is 3 x 2,048 rows: in 64 bits, 2,048 such sizes plus the correct sizes give any number."""
    wire = Snapshots.of([snapshot("a/0", 0, {(0, at): cell(1) for at in range(2_048)})]).to_wire()
    sizes = np.ones(3 * 2_048, "<u8")
    sizes[:2_048] = 2**53 - 1
    sizes[-1] += 2 * 2_048
    assert sizes.astype(np.int64).sum() == 3 * 2_048
    times = {**wire["cells"]["times"], "sizes": sizes.tobytes()}
    with pytest.raises(ValueError, match="more entries than the data holds"):
        Snapshots.from_wires([{**wire, "cells": {**wire["cells"], "times": times}}])


def packed(*numbers: int) -> bytes:
    return np.array(numbers, np.uint8).tobytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workers", []),
        ("workers", ["a/0"]),
        ("workers", ["a/0", ""]),
        ("workers", ["a/0", 7]),
        ("workers", ["a/0", "x" * 257]),
        ("workers", ["a/0"] * 5000),
        ("intervals", packed(3)),
        ("intervals", np.array([3, 2**31 + 1], "<u4").tobytes()),
        ("cell_parts", packed(1, 1)),
        ("cell_parts", packed(2, 2)),
        ("cell_parts", np.array([2**52, 1], "<u8").tobytes()),
        ("cell_parts", packed(3, 0)),  # two cells of one worker have the same window and target
        ("cell_parts", np.array([2**53 - 1] * 2, "<u8").tobytes()),
        ("tally_parts", packed(1, 1)),
        ("tally_parts", np.array([2**53 - 1] * 2, "<u8").tobytes()),
        ("tally_parts", packed(3, 0)),  # the rows of one worker are not in order
        ("tallies", WIRE["tallies"][:-1]),
        ("health", WIRE["health"][:1]),
        ("health", [WIRE["health"], None]),
        ("health", bytes(16)),  # all values are -1, which is allowed in one field only
        ("health", None),
        ("cells", None),
    ],
)
def test_invalid_joined_data_is_refused(field: str, value: object) -> None:
    assert read_all(WIRE) == TWO
    with pytest.raises(ValueError, match=r"field|cells|tall|mapping"):
        read_all({**WIRE, field: value})


@pytest.mark.parametrize("field", ["cell_parts", "tally_parts"])
def test_part_sizes_that_overflow_are_refused(field: str) -> None:
    """In 64 bits, 2,048 such numbers plus the correct number give any number; numpy would write beyond its memory."""
    many = [snapshot("a/0", 0, {}, ())] * 2_048 + [TWO[0]]
    wire = Snapshots.of(many).to_wire()
    size = 2 if field == "cell_parts" else len(TWO[0].tallies)
    parts = np.array([2**53 - 1] * 2_048 + [2_048 + size], "<u8")
    assert parts.astype(np.int64).sum() == size
    with pytest.raises(ValueError, match="differs from the sum of their parts"):
        read_all({**wire, field: parts.tobytes()})


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in inner for path in paths(item, (*at, key)))]


def changed(value: Any, path: Sequence[Any], new: Any) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@given(
    given=some,
    data=st.data(),
    at=st.integers(0),
    byte=st.integers(0, 255),
    junk=st.none() | st.integers(-2, 2**64) | st.binary(max_size=40),
)
def test_damaged_data_is_a_value_error_or_snapshots(
    given: list[Snapshot], data: st.DataObject, at: int, byte: int, junk: object
) -> None:
    wire = Snapshots.of(given).to_wire()
    path = data.draw(st.sampled_from(paths(wire)))
    value = functools.reduce(operator.getitem, path, wire)
    spoilt = [junk]
    if isinstance(value, bytes) and value:
        spoilt.append(value[: at % len(value)] + bytes([byte]) + value[at % len(value) + 1 :])
    for one in spoilt:
        with contextlib.suppress(ValueError):
            read = read_all(changed(wire, path, one))
            assert [Snapshot.from_wire(part.to_wire()) for part in read] == read
