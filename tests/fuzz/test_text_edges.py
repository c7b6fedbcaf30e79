"""Options, plans and files of any text: a plan, or one clear line; never a traceback."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coordinator.cli.options import parse_counts, parse_window, parse_windows
from coordinator.cli.proxy import parse_listen
from deploy.hosts.inventory import load as load_hosts
from deploy.hosts.inventory import parse_list
from deploy.targets import load as load_targets
from loadgen.model.address import parse_address
from loadgen.model.errors import LoadgenError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.plan import SpecPlan
from loadgen.model.probe import ForwardPlan, IperfPlan
from loadgen.model.secrets import mask_body, mask_header, mask_text, mask_url
from loadgen.model.units import parse_duration_ns, parse_per_s, parse_rate_bps, parse_size_bytes
from loadgen.model.url import Url
from loadgen.verdict.slo import Slo
from tests.support.text_edges import EDGES, wrong
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
    "listen": parse_listen,
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


PLANS: dict[str, type[HttpPlan | IperfPlan | ForwardPlan | SpecPlan]] = {
    "http": HttpPlan,
    "iperf": IperfPlan,
    "forward": ForwardPlan,
    "spec": SpecPlan,
}


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
    "target": ["name", "host", "port", "weight"],
    "host": ["name", "address", "user", "port", "cores", "bind", "command", "spool"],
    "request": ["url", "method", "headers", "body", "status", "weight"],
}


@pytest.mark.parametrize("table", FILES)
@given(data=st.data())
@QUIET
def test_each_field_of_a_file_takes_any_value_or_is_refused(table: str, data: st.DataObject, tmp_path: Path) -> None:
    fields = GOOD[table] | data.draw(st.dictionaries(st.sampled_from(KEYS[table]), ANY_VALUE, max_size=3))
    file = tmp_path / "file.toml"
    file.write_text(tomli_w.dumps({table: [fields]}), encoding="utf-8")
    read_or_refused(lambda: FILES[table](file))
