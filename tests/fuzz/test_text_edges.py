"""Options, plans and files of any text: a plan, or one clear line; never a traceback."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import itertools
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coordinator.cli.commands import COMMANDS
from coordinator.cli.iperf_words import parse_connect_timeout, parse_tos
from coordinator.cli.options import parse_counts, parse_window, parse_windows
from coordinator.output.html.files import write_report
from coordinator.output.streams import OutputError
from deploy.hosts.inventory import Host, parse_list
from deploy.hosts.inventory import load as load_hosts
from deploy.targets import KEYS as TARGET_KEYS
from deploy.targets import load as load_targets
from loadgen.model.address import parse_address, parse_own_address
from loadgen.model.connect_to import ConnectTo
from loadgen.model.errors import LoadgenError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.isolate import IsolatePlan
from loadgen.model.pack import PackPlan
from loadgen.model.paper import PaperPlan
from loadgen.model.plain import from_plain
from loadgen.model.plan import SpecPlan
from loadgen.model.port_range import parse_ports
from loadgen.model.probe import ForwardPlan, IperfPlan
from loadgen.model.relative import RelativePlan
from loadgen.model.secrets import mask_body, mask_header, mask_text, mask_url
from loadgen.model.stages import parse_stages
from loadgen.model.units import parse_duration_ns, parse_per_s, parse_rate_bps, parse_size_bytes
from loadgen.model.url import Url
from loadgen.verdict.slo import Slo
from tests.support.text_edges import EDGES, USUAL, commands, flags, wrong
from workloads.http.requests import parse_requests

ROOT = Path(__file__).parents[2]
LOCALES = {
    "UTF-8": {"LC_ALL": "C.UTF-8"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
}
EXAMPLES = int(os.environ.get("LOADGEN_TEXT_EDGES", "500"))
SEED = 20_261_130


@pytest.mark.parametrize("locale", LOCALES)
def test_each_option_takes_any_text_or_refuses_it_in_a_line(locale: str) -> None:
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.text_edges", str(SEED + list(LOCALES).index(locale)), str(EXAMPLES)],
        cwd=ROOT,
        env={**usual, **LOCALES[locale]},
        capture_output=True,
        timeout=300,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout[-3000:], done.stderr[-3000:]) == (0, b"", b"")


ANY_TEXT = st.one_of(
    st.sampled_from(EDGES),
    st.text(st.characters(exclude_categories=[])),  # surrogates, too: bytes of an argument that are not text
    st.from_regex(r"[0-9a-z.:/\[\]@%<>=,²٣-]{1,20}", fullmatch=True),
)
ANY_VALUE = st.recursive(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.sampled_from([one for one in EDGES if not any("\ud800" <= char <= "\udfff" for char in one)]),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.booleans(),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=5,
)
QUIET = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)
PARSERS: dict[str, Callable[[str], object]] = {
    "address": parse_address,
    "counts": parse_counts,
    "duration": parse_duration_ns,
    "hosts": parse_list,
    "listen": parse_own_address,
    "objective": Slo.parse,
    "per second": parse_per_s,
    "rate": parse_rate_bps,
    "size": parse_size_bytes,
    "URL": Url.parse,
    "window": parse_window,
    "windows": parse_windows,
    "header": lambda text: HttpRequest(url="http://h/", headers=(text,)),
    "method": lambda text: HttpRequest(url="http://h/", method=text),
    "URL after the host": lambda text: Url.parse(f"http://h/{text}"),
    "host of a URL": lambda text: Url.parse(f"http://{text}/"),
}


def read_or_refused(read: Callable[[], object]) -> None:
    """Any other error than ours fails the test."""
    with contextlib.suppress(LoadgenError):
        read()


NUMBERS: dict[str, Callable[[str], object]] = {
    **{name: PARSERS[name] for name in ("counts", "duration", "per second", "rate", "size", "window")},
    "address": lambda number: parse_address(f"h:{number}"),
    "connect timeout": parse_connect_timeout,
    "connect to, from": lambda number: ConnectTo.parse(f"h:{number}:h:1"),
    "connect to, to": lambda number: ConnectTo.parse(f"h:1:h:{number}"),
    "hosts, number": lambda number: parse_list(f"c[{number}]"),
    "hosts, port": lambda number: parse_list(f"h:{number}"),
    "hosts, range": lambda number: parse_list(f"c[1-{number}]"),
    "objective": lambda number: Slo.parse(f"p{number}<1ms"),
    "ports": lambda number: parse_ports(f"1-{number}"),
    "random": lambda number: HttpRequest(url="http://h/{{random:1.." + number + "}}").values,
    "stages": lambda number: parse_stages(f"1s:{number}/s"),
    "statuses": lambda number: HttpRequest(url="http://h/", expect=f"200-{number}"),
    "type of service": parse_tos,
    "URL": lambda number: Url.parse(f"http://h:{number}/"),
    "whole number of a plan": lambda number: from_plain(HttpPlan, WHOLE["http"] | {"seed": int(number, 16)}),
    "decimal of a plan": lambda number: from_plain(HttpPlan, WHOLE["http"] | {"rate_per_s": int(number, 16)}),
    "table of a plan": lambda number: from_plain(HttpPlan, WHOLE["http"] | {"seed": {"a": [int(number, 16)]}}),
}


@pytest.mark.parametrize("digits", [400, 5_000])  # of thousands, int() makes no number
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_without_end_is_read_or_refused(name: str, digits: int) -> None:
    read_or_refused(lambda: NUMBERS[name]("9" * digits))


@pytest.mark.parametrize("name", PARSERS)
@given(ANY_TEXT)
@QUIET
def test_a_text_is_read_or_refused(name: str, text: str) -> None:
    read_or_refused(lambda: PARSERS[name](text))


@given(ANY_TEXT)
@QUIET
def test_masking_takes_any_text_and_is_stable(text: str) -> None:
    for mask in (mask_text, mask_url, mask_body, mask_header):
        once = mask(text)
        assert mask(once) == once


PLANS: dict[str, type[Any]] = {
    "forward": ForwardPlan,
    "http": HttpPlan,
    "iperf": IperfPlan,
    "isolate": IsolatePlan,
    "pack": PackPlan,
    "paper": PaperPlan,
    "relative": RelativePlan,
    "spec": SpecPlan,
}
WHOLE: dict[str, dict[str, Any]] = {
    "http": {"requests": [{"url": "http://h/"}]},
    "iperf": {"host": "h"},
    "relative": {"command": "true"},
}
"""What a plan needs beside any one field."""


def test_every_command_with_plans_is_here() -> None:
    taking = {name for name in commands() if any(one.name == "print_plan" for one in flags(name))}
    assert taking == PLANS.keys()
    assert taking == {name for name in COMMANDS if any("--print-plan" in usual for usual in USUAL.get(name, ()))}


def fields_of(kind: type[Any], *above: str | int) -> Iterator[tuple[str | int, ...]]:
    """The places of all fields in the plain data of a plan, with those of its tables and of its lists of tables."""
    for name, annotation in get_type_hints(kind).items():
        if name not in {one.name for one in dataclasses.fields(kind)}:
            continue
        yield (*above, name)
        for part in (annotation, *get_args(annotation)):
            if dataclasses.is_dataclass(part) and isinstance(part, type):
                yield from fields_of(part, *above, name, *((0,) if get_origin(annotation) is tuple else ()))


def with_value(data: dict[str, Any], place: Sequence[str | int], value: object) -> dict[str, Any]:
    """A copy of plain data with a value at a place."""
    data = copy.deepcopy(data)
    at: Any = data
    for key, following in itertools.pairwise(place):
        at = at[key] if isinstance(key, int) else at.setdefault(key, [{}] if isinstance(following, int) else {})
    at[place[-1]] = value
    return data


@pytest.mark.parametrize("command", PLANS)
def test_every_field_of_a_plan_and_of_its_tables_takes_any_value_or_refuses_it_in_a_line(
    command: str, tmp_path: Path
) -> None:
    dice, found, file = random.Random(SEED), [], tmp_path / "plan.toml"
    for place in fields_of(PLANS[command]):
        for value in (dice.choice(VALUES) for _ in range(max(2, EXAMPLES // 200))):
            plan = with_value(WHOLE.get(command, {}), place, value)
            file.write_text(tomli_w.dumps(plan), encoding="utf-8")
            if finding := wrong([command, "--plan", str(file), "--print-plan"]):
                found.append(f"{place}: {str(value)[:60]!a}: {finding}")
    assert not found


VALUES: list[object] = [
    *[one for one in EDGES if not any("\ud800" <= char <= "\udfff" for char in one)],
    *(-1, 0, 1, 2**31, 2**63 - 1, -(2**63), 0.5, -0.0, 1e308, math.inf, math.nan, True, False),
    *([], {}, [[]], [{}], {"": ""}, [""], ["a", 1], [True], {"a": {"b": []}}, ["a"] * 300),
    *(datetime.date(1, 1, 1), datetime.time(0), datetime.datetime(9999, 12, 31), datetime.datetime.now(datetime.UTC)),
]
"""Values that TOML can have, at the edges of each of its types."""


@pytest.mark.parametrize("command", PLANS)
@given(content=st.binary(max_size=200))
@example(content=b"\xff\xfe")
@QUIET
def test_a_plan_of_any_bytes_is_read_or_refused(command: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_bytes(content)
    assert wrong([command, "--plan", str(tmp_path / "plan.toml"), "--print-plan"]) == ""


@pytest.mark.parametrize("command", PLANS)
@given(data=st.data())
@QUIET
def test_each_field_of_a_plan_takes_any_value_or_refuses_it_in_a_line(
    command: str, data: st.DataObject, tmp_path: Path
) -> None:
    names = st.sampled_from(sorted(one.name for one in dataclasses.fields(PLANS[command])))
    fields = data.draw(st.dictionaries(names, ANY_VALUE, min_size=1, max_size=3))
    (tmp_path / "plan.toml").write_text(tomli_w.dumps(fields), encoding="utf-8")
    assert wrong([command, "--plan", str(tmp_path / "plan.toml"), "--print-plan"]) == ""


FILES: dict[str, Callable[[Path], object]] = {
    "target": load_targets,
    "host": load_hosts,
    "request": lambda path: parse_requests(path.read_text(encoding="utf-8")),
}
GOOD: dict[str, dict[str, Any]] = {
    "target": {"name": "a", "host": "h", "port": 1},
    "host": {"name": "a"},
    "request": {"url": "http://h/"},
}
KEYS = {
    "target": sorted(TARGET_KEYS),
    "host": [one.name for one in dataclasses.fields(Host)],
    "request": [one.name for one in dataclasses.fields(HttpRequest)],
}


@pytest.mark.parametrize("table", FILES)
@given(data=st.data())
@QUIET
def test_each_field_of_a_file_takes_any_value_or_is_refused(table: str, data: st.DataObject, tmp_path: Path) -> None:
    fields = GOOD[table] | data.draw(st.dictionaries(st.sampled_from(KEYS[table]), ANY_VALUE, max_size=3))
    file = tmp_path / "file.toml"
    file.write_text(tomli_w.dumps({table: [fields]}), encoding="utf-8")
    read_or_refused(lambda: FILES[table](file))


@pytest.mark.parametrize("table", FILES)
def test_every_field_of_a_file_takes_each_kind_of_value_or_is_refused(table: str, tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    for key in KEYS[table]:
        for value in VALUES:
            file.write_text(tomli_w.dumps({table: [GOOD[table] | {key: value}]}), encoding="utf-8")
            read_or_refused(lambda: FILES[table](file))


@pytest.mark.parametrize("table", [*FILES, "urls", "data"])
@given(content=st.binary(max_size=200))
@QUIET
def test_a_file_of_any_bytes_is_read_or_refused_in_a_line(table: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"file.{'csv' if table == 'data' else 'txt' if table == 'urls' else 'toml'}"
    file.write_bytes(content)
    words = {
        "target": ["spec", "--targets", str(file)],
        "host": ["spec", "--hosts", str(file)],
        "request": ["http", "--requests", str(file)],
        "urls": ["http", "--urls", str(file)],
        "data": ["http", "http://127.0.0.1:9/", "--data", str(file)],
    }[table]
    assert wrong([*words, "--print-plan"]) == ""


@pytest.mark.parametrize("digits", [16, 400, 5_000])
@pytest.mark.parametrize("table", FILES)
def test_a_number_beyond_64_bits_is_refused_in_a_file(table: str, digits: int, tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    number = f"0x{'9' * digits}"
    for key, value in itertools.product(KEYS[table], (number, f"[{number}]", f"{{ a = {number} }}")):
        lines = [f"{name} = {json.dumps(one)}" for name, one in GOOD[table].items() if name != key]
        file.write_text("\n".join([f"[[{table}]]", *lines, f"{key} = {value}"]), encoding="utf-8")
        with pytest.raises(LoadgenError, match=r"between -2\^63 and 2\^63"):
            FILES[table](file)


@pytest.mark.parametrize("command", ["collect", "compare", "plot", "report", "resume", "show", "web"])
def test_a_path_that_no_file_can_have_is_refused_in_a_line(command: str) -> None:
    assert wrong([command, "a" * 100_000, *["b"] * (command == "compare")]) == ""


@pytest.mark.parametrize("length", [250, 300, 100_000])  # with the number of a process, the first is too long as well
def test_a_report_whose_name_no_file_can_have_is_refused(
    length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.output.html.files.report_text", lambda *_: "")
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        write_report(tmp_path / ("a" * length), [])
