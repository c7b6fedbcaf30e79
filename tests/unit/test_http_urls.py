"""Lists of URLs, and the other files of `loadgen http`."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.http_files import STDIN, read_urls
from coordinator.cli.http_options import MAX_TIME
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.units import NS_PER_MS, NS_PER_S
from workloads.http.urls import parse_urls

LIST = """\ufeff# the shop
http://a/

  https://b:8443/x?y=1
// a comment of vegeta
POST http://a/cart
Accept: text/html
X-Test: http://not-a-url/
GET   http://c/
"""


def test_a_list_has_urls_methods_headers_and_comments() -> None:
    assert parse_urls(LIST) == (
        HttpRequest(url="http://a/"),
        HttpRequest(url="https://b:8443/x?y=1"),
        HttpRequest(url="http://a/cart", method="POST", headers=("Accept: text/html", "X-Test: http://not-a-url/")),
        HttpRequest(url="http://c/"),
    )


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_line_ends_of_other_systems_are_read(ends: str) -> None:
    assert [one.url for one in parse_urls(f"http://a/{ends}http://b/{ends}")] == ["http://a/", "http://b/"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no URL"),
        ("# nothing\n\n", "no URL"),
        ("http://a/\nftp://banana", "line 2"),
        ("http://a/ POST x=1", "line 1"),
        ("POST http://a/\n@body.json", "line 2"),
        ("Accept: x\nhttp://a/", "line 1"),
        ("http://a/\nContent-Length: 3", "line 2"),
        ("CONNECT http://a/", "line 1"),
    ],
)
def test_mistakes_in_a_list_have_their_line(text: str, word: str) -> None:
    with pytest.raises(PlanError, match=word) as caught:
        parse_urls(text)
    assert "\n" not in caught.value.message


@given(st.text(max_size=60))
def test_any_text_is_a_list_or_a_plan_error(text: str) -> None:
    with contextlib.suppress(PlanError):
        assert parse_urls(text)


def test_a_list_is_read_from_a_file_or_the_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "urls"
    file.write_text(LIST, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(LIST.encode())))
    assert read_urls(STDIN) == read_urls(file) == parse_urls(LIST)
    file.write_bytes(b"http://a/\xff")
    for wrong in (file, tmp_path / "missing", tmp_path):
        with pytest.raises(PlanError, match=str(wrong)):
            read_urls(wrong)


def plan_of(url: str = "https://h/", **options: Any) -> HttpPlan:
    return HttpPlan(requests=(HttpRequest(url=url),), **options)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"url": "http://h/", "tls_ca": "ca.pem"}, "--cacert needs"),
        ({"url": "http://h/", "tls_cert": "c.pem"}, "--cert needs"),
        ({"url": "http://h/", "tls_name": "x"}, "--sni needs"),
        ({"tls_ca": "ca.pem", "tls_verify": False}, "--cacert has no effect"),
        ({"tls_key": "k.pem"}, "--key needs"),
        ({"tls_name": "a b"}, "--sni"),
        ({"tls_name": "a..b"}, "--sni"),
        ({"tls_name": "x" * 64}, "--sni"),
        ({"tls_name": "ä.example"}, "--sni"),
        ({"max_time_ns": -1}, "-t"),
    ],
)
def test_senseless_options_are_refused_in_one_line(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(PlanError, match=word) as caught:
        plan_of(**wrong)
    assert "\n" not in caught.value.message


def test_these_options_read_back_from_a_plan() -> None:
    plan = plan_of(tls_ca="ca.pem", tls_cert="c.pem", tls_key="k.pem", tls_name="x.example", max_time_ns=NS_PER_S)
    assert HttpPlan.from_dict(plan.to_dict()) == plan


def test_the_longest_time_needs_a_unit() -> None:
    assert MAX_TIME.convert("250ms", None, None) == 250 * NS_PER_MS
    for wrong, word in (("4", "--engines"), ("0s", "more than"), ("x", "duration")):
        with pytest.raises(Exception, match=word):
            MAX_TIME.convert(wrong, None, None)
