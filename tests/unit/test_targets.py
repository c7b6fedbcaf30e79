from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from deploy.targets import load, parse
from loadgen.model.errors import PlanError
from loadgen.model.target import Target

ONE = '[[target]]\nname = "a"\nhost = "192.0.2.1"\nport = 80\n'

TARGETS = st.lists(
    st.builds(
        Target,
        name=st.text(st.characters(codec="utf-8"), min_size=1),
        host=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=63),
        port=st.integers(1, 65535),
        weight=st.integers(1, 1000),
    ),
    min_size=1,
    unique_by=lambda target: target.name,
)


def test_weight_is_one_unless_given() -> None:
    targets = parse(ONE + '[[target]]\nname = "b"\nhost = "::1"\nport = 81\nweight = 3\n', "t.toml")
    assert targets == (
        Target(name="a", host="192.0.2.1", port=80, weight=1),
        Target(name="b", host="::1", port=81, weight=3),
    )


@given(TARGETS)
def test_written_targets_read_back(targets: list[Target]) -> None:
    tables = [{"name": t.name, "host": t.host, "port": t.port, "weight": t.weight} for t in targets]
    assert parse(tomli_w.dumps({"target": tables}), "t.toml") == tuple(targets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[target", "t.toml: not TOML"),
        ("", "t.toml: no targets"),
        ("target = []", "t.toml: no targets"),
        ("target = 1", "t.toml: target is not an array of tables"),
        ('[target]\nname = "a"', "t.toml: target is not an array of tables"),
        (f"{ONE}[servers]\nx = 1", "t.toml: unknown key 'servers'"),
        (f"{ONE}speed = 1", "t.toml: target 1: unknown key 'speed'"),
        (f"{ONE}{ONE}", "t.toml: two targets have the name 'a'"),
        ('[[target]]\nname = "a"\nhost = "h"', "t.toml: target 1: port is missing"),
        (ONE.replace("80", '"80"'), "t.toml: target 1: port must be a whole number, got '80'"),
        (ONE.replace("80", "true"), "t.toml: target 1: port must be a whole number, got true"),
        (ONE.replace('"a"', "1"), "t.toml: target 1: name must be a text, got 1"),
        (ONE.replace("80", "70000"), "t.toml: target 1: target a: port 70000 is not in 1..65535"),
        (f"{ONE}weight = 0", "t.toml: target 1: target a: weight must be at least 1, got 0"),
    ],
)
def test_errors_in_a_file_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse(text, "t.toml")
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"the file of targets .*none\.toml cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_a_binary_file_is_not_toml(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="not UTF-8"):
        load(tmp_path / "t.toml")


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(ONE)
    assert [target.name for target in load(tmp_path / "t.toml")] == ["a"]
