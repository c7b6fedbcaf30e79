"""Reading and writing addresses as HOST:PORT."""

from __future__ import annotations

import pytest

from loadgen.model.address import format_address, parse_address
from loadgen.model.errors import PlanError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5201", ("127.0.0.1", 5201)),
        ("sink:0", ("sink", 0)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
        ("[::]:1", ("::", 1)),
    ],
)
def test_addresses_are_read_and_written_in_the_same_form(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address
    assert format_address(*address) == text


@pytest.mark.parametrize(
    "text", ["", ":", "5201", ":5201", "host:", "host:x", "host:65536", "host:-1", "host:²", "::1:5201", "[host]:1",
             "[]:1", "[::1:1", "a b:1", "a]:1"]
)  # fmt: skip
def test_other_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_address(text)
    assert "\n" not in caught.value.message
