from __future__ import annotations

from coordinator.output.terminal.engines import engine_lines, engine_title
from loadgen.measure.events import EngineReady

COMPILED = [EngineReady(f"a/{n}", "compiled", "kernel", "") for n in range(3)]
PYTHON = EngineReady("b/0", "python", "loop", "it was not built")


def test_the_title_names_each_kind_once() -> None:
    assert engine_title([]) == ""
    assert engine_title(COMPILED) == "compiled engine"
    assert engine_title([PYTHON, *COMPILED]) == "compiled and python engines"


def test_the_report_names_the_differences() -> None:
    assert list(engine_lines(COMPILED)) == ["compiled, replies stamped by the kernel"]
    assert list(engine_lines([PYTHON, *COMPILED])) == [
        "3 x compiled, replies stamped by the kernel",
        "1 x python (it was not built), replies stamped by the event loop",
    ]
    assert not list(engine_lines([]))
