from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.histogram import EMPTY
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.wire import pack
from loadgen.model.outcome import Outcome
from tests.support.evidence import GROUPS, KINDS, cell_maps, cells, rows, snapshots

HEALTH = Health(
    wall_ns=1, cpu_ns=1, runqueue_ns=-1, still_ns=1, open_fds=1, fd_limit=1, sockets_time_wait=1, active_connections=1
)
SAMPLE = Snapshot(
    "engine 0",
    7,
    {(0, 0): Cell.empty(KINDS, GROUPS), (-1, 2): Cell.empty(KINDS, GROUPS)},
    rows({"window": -1, "connection": 4}, {"window": 0, "connection": 2}),
    HEALTH,
)


@given(a=cells, b=cells, c=cells)
def test_cells_merge_in_any_order(a: Cell, b: Cell, c: Cell) -> None:
    empty = Cell.empty(KINDS, GROUPS)
    merge = Cell.merge_all
    assert merge([a, empty]) == a == merge([empty, a])
    assert merge([a, b]) == merge([b, a])
    assert merge([merge([a, b]), c]) == merge([a, merge([b, c])]) == merge([c, b, a])


@given(cell=cells)
def test_every_operation_is_ok_bad_or_cut(cell: Cell) -> None:
    assert cell.ok + cell.bad + cell.cut == cell.issued
    assert sum(cell.errors.values()) == cell.bad
    assert all(Outcome[name].is_error and count for name, count in cell.errors.items())


def test_cells_of_other_shapes_do_not_merge() -> None:
    with pytest.raises(ValueError, match="shape"):
        Cell.merge_all([Cell.empty(2, 3), Cell.empty(3, 3)])


@given(a=cell_maps, b=cell_maps)
def test_tables_add_up_like_their_cells(a: dict[tuple[int, int], Cell], b: dict[tuple[int, int], Cell]) -> None:
    merged = CellTable.merge_all([CellTable.of(a), CellTable.of(b)])
    assert list(merged) == sorted(a.keys() | b.keys())
    assert merged == {at: Cell.merge_all(one[at] for one in (a, b) if at in one) for at in merged}
    assert CellTable.of(a) == a
    assert CellTable.of(a).connects().tolist() == [cell.connects for cell in a.values()]


def test_tables_of_other_shapes_do_not_merge() -> None:
    with pytest.raises(ValueError, match="dimension"):
        CellTable.merge_all([CellTable.of({(0, 0): Cell.empty(2, 3)}), CellTable.of({(0, 0): Cell.empty(3, 3)})])


@given(snapshot=snapshots())
def test_a_snapshot_survives_the_wire(snapshot: Snapshot) -> None:
    assert Snapshot.from_wire(msgpack.unpackb(msgpack.packb(snapshot.to_wire()))) == snapshot


@given(snapshot=snapshots())
def test_a_wire_form_of_five_counters_is_read(snapshot: Snapshot) -> None:
    """Version 0.1.0 had five counters, and its wire form did not tell their number."""
    wire, table = snapshot.to_wire(), CellTable.of(snapshot.cells)
    old = {name: value for name, value in wire["cells"].items() if name != "counters"}
    read = Snapshot.from_wire({**wire, "cells": {**old, "sums": pack(table.sums[:, :5])}})
    assert read.cells == {
        at: dataclasses.replace(cell, retries=0, rest_ns=0, surplus=0) for at, cell in snapshot.cells.items()
    }


@given(snapshot=snapshots())
def test_a_wire_form_without_surplus_statuses_and_texts_is_read(snapshot: Snapshot) -> None:
    """Earlier versions had seven counters."""
    wire, table = snapshot.to_wire(), CellTable.of(snapshot.cells)
    old = {name: value for name, value in wire["cells"].items() if name != "statuses"}
    cells = {**old, "counters": 7, "sums": pack(table.sums[:, :7])}
    read = Snapshot.from_wire({**{name: value for name, value in wire.items() if name != "shown"}, "cells": cells})
    assert read.shown == ()
    assert read.cells == {
        at: dataclasses.replace(cell, surplus=0, statuses=EMPTY) for at, cell in snapshot.cells.items()
    }


CELLS = SAMPLE.to_wire()["cells"]
TALLY = SAMPLE.to_wire()["tallies"][: len(SAMPLE.to_wire()["tallies"]) // 2]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("worker", ""),
        ("worker", "x" * 300),
        ("worker", b"engine"),
        ("interval", -1),
        ("interval", True),
        ("interval", 2**63),
        ("cells", {}),
        ("cells", [CELLS]),
        ("cells", {**CELLS, "size": 3}),
        ("cells", {**CELLS, "counters": 4}),
        ("cells", {**CELLS, "counters": 9}),
        ("cells", {**CELLS, "size": -1}),
        ("cells", {**CELLS, "size": 2**40}),
        ("cells", {**CELLS, "slots": b"\1\1", "targets": b"\2\2"}),  # twice the same
        ("cells", {**CELLS, "slots": np.array([1, 2**16 + 2], "<u4").tobytes()}),
        ("cells", {**CELLS, "targets": np.array([1, 2**16], "<u4").tobytes()}),
        ("cells", {**CELLS, "outcomes": CELLS["outcomes"][:-1]}),
        ("cells", {**CELLS, "counts": CELLS["counts"] + b"\0"}),
        # beyond the limit that keeps sums within 64 bits
        ("cells", {**CELLS, "counts": b"\xff" * 8 * len(CELLS["counts"])}),
        ("cells", {**CELLS, "outcomes": b"\x7f" * 8 * len(CELLS["outcomes"])}),
        ("cells", {**CELLS, "kinds": 0, "counts": b""}),
        ("cells", {**CELLS, "kinds": 2**40}),
        ("cells", {**CELLS, "sums": [0] * 10}),
        ("cells", {**CELLS, "times": None}),
        ("cells", {**CELLS, "bounds": None}),
        ("cells", {**CELLS, "bounds": CELLS["times"]}),  # other numbers of rows
        ("tallies", SAMPLE.to_wire()["tallies"][:-1]),
        ("tallies", TALLY * 2),
        ("tallies", rows({"connection": 2}, {"connection": 1}).tobytes()),
        ("tallies", rows({"window": -2}).tobytes()),
        ("tallies", rows({"bytes": -1}).tobytes()),
        ("tallies", rows({"busy_ns": 2**62}).tobytes()),
        ("tallies", None),
        ("health", []),
        ("health", {**HEALTH.to_wire(), "cpu_ns": -1}),
        ("health", {**HEALTH.to_wire(), "runqueue_ns": -2}),
    ],
)
def test_invalid_wire_forms_are_refused(field: str, value: object) -> None:
    wire = SAMPLE.to_wire()
    assert Snapshot.from_wire(wire) == SAMPLE
    with pytest.raises(ValueError, match=r"field|cells|tall|mapping"):
        Snapshot.from_wire({**wire, field: value})


@pytest.mark.parametrize("field", sorted(SAMPLE.to_wire().keys() - {"times"}))  # version 0.1.0 did not write the times
def test_a_missing_field_is_refused(field: str) -> None:
    wire = SAMPLE.to_wire()
    del wire[field]
    with pytest.raises(ValueError, match=field):
        Snapshot.from_wire(wire)


def test_the_wire_of_a_version_without_lower_bounds_is_read_as_having_none() -> None:
    """Snapshots without failed and cut operations leave them out, too."""
    old = {name: value for name, value in CELLS.items() if name != "bounds"}
    found = Snapshot.from_wire({**SAMPLE.to_wire(), "cells": old})
    assert all(cell.response_failed.total == cell.response_cut.total == 0 for cell in found.cells.values())
    plain = CellTable.of({(0, 0): Cell.empty(2, 3)})
    assert "bounds" not in plain.to_wire()
    parts = np.array([1, 2])
    mixed = CellTable.from_wires([plain.to_wire(), CELLS], parts, [1, 1])
    assert list(mixed.values()) == [Cell.empty(2, 3), *SAMPLE.cells.values()]


garbage = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 5)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=40)
    | st.sampled_from([bytes(8 * n) for n in (1, 15, 18)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values inside `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in inner for path in paths(item, (*at, key)))]


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_value(value[path[0]], path[1:], new)
    return copy


@given(data=st.data(), snapshot=snapshots(), junk=garbage)
def test_garbage_anywhere_is_a_value_error_or_a_snapshot(data: st.DataObject, snapshot: Snapshot, junk: object) -> None:
    wire = snapshot.to_wire()
    spoilt = with_value(wire, data.draw(st.sampled_from(paths(wire))), junk)
    with contextlib.suppress(ValueError):
        read = Snapshot.from_wire(spoilt)
        assert Snapshot.from_wire(read.to_wire()) == read  # accepted data is a valid snapshot in every respect
        table = CellTable.of(read.cells)
        assert CellTable.merge_all([table, table]).keys() == read.cells.keys()
        assert all(np.all(c.response.counts > 0) for c in read.cells.values())


@given(snapshot=snapshots(), at=st.integers(0), byte=st.integers(0, 255))
def test_a_flipped_byte_is_a_value_error_or_a_snapshot(snapshot: Snapshot, at: int, byte: int) -> None:
    wire = snapshot.to_wire()
    for path in paths(wire):
        value = functools.reduce(operator.getitem, path, wire)
        if isinstance(value, bytes) and value:
            i = at % len(value)
            with contextlib.suppress(ValueError):
                read = Snapshot.from_wire(with_value(wire, path, value[:i] + bytes([byte]) + value[i + 1 :]))
                assert Snapshot.from_wire(read.to_wire()) == read
