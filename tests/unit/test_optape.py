from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from loadgen.schedule.optape import CHECK_DTYPE, OP_DTYPE, START_DTYPE, OpTape, StringsBuilder
from loadgen.schedule.strings import Strings

NAMES = st.lists(st.text(max_size=8), max_size=6).map(tuple)

TAPES = st.builds(
    OpTape,
    ops=hnp.arrays(OP_DTYPE, st.integers(0, 6)),
    checks=hnp.arrays(CHECK_DTYPE, st.integers(0, 6)),
    strings=st.builds(Strings.of, st.lists(st.binary(max_size=20), max_size=8)),
    starts=hnp.arrays(START_DTYPE, st.tuples(st.integers(1, 4), st.integers(1, 6))),
    kinds=NAMES,
    groups=NAMES,
    kind_shares=st.lists(st.floats(0, 1), max_size=6).map(tuple),
)


@given(TAPES)
def test_a_tape_survives_the_wire(tape: OpTape) -> None:
    found = OpTape.from_wire(msgpack.unpackb(msgpack.packb(tape.to_wire())))
    for name in ("ops", "checks", "starts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(tape, name))
        assert getattr(found, name).dtype == getattr(tape, name).dtype
    assert found.strings.data == tape.strings.data
    np.testing.assert_array_equal(found.strings.offsets, tape.strings.offsets)
    assert (found.kinds, found.groups, found.kind_shares) == (tape.kinds, tape.groups, tape.kind_shares)


def test_a_tape_from_the_wire_is_read_only() -> None:
    tape = OpTape(
        np.zeros(1, OP_DTYPE), np.zeros(1, CHECK_DTYPE), Strings.of([b""]), np.zeros((1, 1), START_DTYPE), (), (), ()
    )
    found = OpTape.from_wire(tape.to_wire())
    with pytest.raises(ValueError, match="read-only"):
        found.ops["status"][0] = 1


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_a_string_is_found_by_its_index(texts: list[bytes]) -> None:
    table = Strings.of(texts)
    assert [table[index] for index in range(len(table))] == texts


@given(st.lists(st.binary(max_size=3), max_size=40))
def test_equal_strings_share_an_index_and_0_is_the_empty_one(texts: list[bytes]) -> None:
    builder = StringsBuilder()
    indices = [builder.add(text) for text in texts]
    table = builder.build()
    assert [table[index] for index in indices] == texts
    assert len(table) == len({b"", *texts})
    assert table[0] == b""
    assert builder.add(b"") == 0
