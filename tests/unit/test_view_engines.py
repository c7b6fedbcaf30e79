from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from coordinator.output.terminal.engines import address_lines, engine_lines, engine_title
from coordinator.output.terminal.http_report import print_http
from loadgen.measure.events import AddressUse, EngineReady
from tests.support import https
from tests.support.judged import judged

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


def on_addresses(worker: str, target: str, **connections: int) -> EngineReady:
    uses = tuple(AddressUse(target, address, number) for address, number in connections.items())
    return EngineReady(worker, "compiled", "kernel", "", uses)


def test_the_report_adds_up_the_connections_to_each_address() -> None:
    assert list(address_lines(COMPILED)) == []
    engines = [on_addresses("a/0", "web:80", a=2, b=0, c=0), on_addresses("a/1", "web:80", a=1, b=3, c=0)]
    assert list(address_lines(engines)) == ["web:80: connections to a (3), b (3); not used: c"]


def test_the_report_names_the_addresses_of_a_few_targets() -> None:
    lines = list(address_lines(on_addresses("a/0", f"web{n}:80", a=1, b=1) for n in range(7)))
    assert len(lines) == 6
    assert lines[-1] == "and 2 more targets with several addresses"


def test_the_report_of_http_has_the_addresses() -> None:
    engines = (on_addresses("local/0", "web:80", a=2, b=0), on_addresses("local/1", "web:80", a=0, b=3))
    begun = https.header()
    begun = dataclasses.replace(begun, fleet=dataclasses.replace(begun.own_fleet, engines=engines))
    console = Console(file=io.StringIO(), width=80)
    print_http(console, judged(begun, https.result()))
    assert "addresses  web:80: connections to a (2), b (3)" in console.file.getvalue()  # type: ignore[attr-defined]
