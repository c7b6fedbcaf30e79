"""The extension and Python agree on every number that both use, or the extension is not used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loadgen.engine.compiled.layout import check
from loadgen.measure.record import RECORD_DTYPE
from loadgen.model.outcome import Outcome
from loadgen.schedule.optape import CHECK_DTYPE, OP_DTYPE
from tests.support.engines import needs_compiled

ROOT = Path(__file__).parents[2]


@pytest.fixture
def facts() -> dict[str, int]:
    """What the extension was compiled with."""
    from loadgen.engine.compiled import _core

    return _core.facts()


@needs_compiled
def test_the_extension_of_this_installation_agrees(facts: dict[str, int]) -> None:
    check(facts)
    assert facts["RECORD_DTYPE bytes"] == RECORD_DTYPE.itemsize == 48
    assert facts["OP_DTYPE bytes"] == OP_DTYPE.itemsize
    assert facts["CHECK_DTYPE.literal_at bytes"] == 16
    assert facts["CHECK_DTYPE bytes"] == CHECK_DTYPE.itemsize
    assert {name for name in facts if name.startswith("Outcome.")} == {f"Outcome.{one.name}" for one in Outcome}


@needs_compiled
def test_any_number_that_differs_is_named(facts: dict[str, int]) -> None:
    for name, value in facts.items():
        with pytest.raises(ImportError, match="built from another version of loadgen") as refused:
            check(facts | {name: value + 1})
        assert f"({name} is {value + 1} in C and {value} in Python)" in str(refused.value)


@needs_compiled
def test_a_number_that_only_one_side_has_is_named(facts: dict[str, int]) -> None:
    with pytest.raises(ImportError, match=r"\(Outcome\.LATE is 17 in C and missing in Python\)"):
        check(facts | {"Outcome.LATE": 17})
    del facts["Outcome.SHED"]
    with pytest.raises(ImportError, match=r"\(Outcome\.SHED is missing in C and 15 in Python\)"):
        check(facts)


def test_of_many_differences_the_first_is_named_and_the_others_are_counted() -> None:
    with pytest.raises(ImportError, match=r"\(OP_DTYPE bytes is missing in C and 41 in Python, and \d\d+ more\)"):
        check({})


@needs_compiled
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "from loadgen.schedule import optape; optape.CLOSE_AFTER = 4",
            "CLOSE_AFTER is 2 in C and 4 in Python",
        ),
        (
            "import numpy; from loadgen.schedule import optape;"
            "optape.OP_DTYPE = numpy.dtype(optape.OP_DTYPE.descr[::-1])",
            "OP_DTYPE.think_ms offset is 37 in C and 0 in Python, and 12 more",
        ),
    ],
)
def test_with_other_python_files_the_python_engine_is_used_and_the_reason_is_given(change: str, reason: str) -> None:
    script = f"{change}\nfrom loadgen.engine.choice import describe\nprint(describe())"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    (line,) = ran.stdout.splitlines()
    assert line.startswith("the Python engine (")
    assert f"built from another version of loadgen ({reason})" in line
    assert "install loadgen again" in line
