"""Options of `loadgen http` about names, bodies and headers: the plan that they make."""

from __future__ import annotations

import tomllib
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coordinator.cli import app
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from tests.support.printed_plans import plan_data, refusal
from workloads.http.compile import compile_http
from workloads.http.requests import parse_requests


@pytest.mark.parametrize(
    ("arguments", "resolve", "version"),
    [
        ([], "all", "any"),
        (["--resolve", "first"], "first", "any"),
        (["-4"], "all", "4"),
        (["-6", "--resolve", "all"], "all", "6"),
    ],
)
def test_the_addresses_of_names_are_chosen(arguments: list[str], resolve: str, version: str) -> None:
    plan = plan_data("http", "http://a/", *arguments)
    assert (plan.get("resolve", "all"), plan.get("ip_version", "any")) == (resolve, version)


def test_other_choices_of_addresses_are_refused() -> None:
    assert "'some' is not one of 'all', 'first'" in refusal("http", "http://a/", "--resolve", "some")


def asked(*arguments: str) -> dict[str, Any]:
    """Return the only request of the plan that these options make."""
    (request,) = plan_data("http", "http://a/", *arguments)["requests"]
    assert isinstance(request, dict)
    return request


@pytest.mark.parametrize(
    ("arguments", "method", "body"),
    [
        ([], "GET", ""),
        (["--body", "a=1"], "POST", "a=1"),
        (["--body", ""], "POST", ""),  # as curl -d ''
        (["--body", "a=1", "--method", "put"], "PUT", "a=1"),
        (["--body", "a=1", "--method", "GET"], "GET", "a=1"),
        (["--body", "é"], "POST", "é"),
        (["--body", "a@b"], "POST", "a@b"),
    ],
)
def test_a_body_without_a_method_is_a_post(arguments: list[str], method: str, body: str) -> None:
    request = asked(*arguments)
    assert (request["method"], request["body"]) == (method, body)


@pytest.mark.parametrize(
    "content", [b"", b"line\r\n\ttab\x00 nul \n", "ж".encode(), b"\xff\x00\n\x80", bytes(range(256))]
)
def test_the_content_of_a_file_is_sent_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "body"
    file.write_bytes(content)
    plan = plan_data("http", "http://a/", "--body", f"@{file}")
    tape = compile_http(HttpPlan.from_dict(plan))
    assert tape.strings[tape.ops[0]["line"]].startswith(b"POST ")
    assert tape.strings[tape.ops[0]["rest"]].endswith(f"Content-Length: {len(content)}\r\n\r\n".encode() + content)


def test_a_body_can_come_from_stdin() -> None:
    done = CliRunner().invoke(app, ["http", "http://a/", "--body", "@-", "--print-plan"], input=b"from\xffstdin")
    (request,) = tomllib.loads(done.stdout)["requests"]
    assert b64decode(request["body_base64"]) == b"from\xffstdin"


def test_bodies_that_cannot_be_read_are_refused_with_the_file(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate((16 << 20) + 1)
    for name, why in (
        (tmp_path / "no", "No such file"),
        (tmp_path, "Is a directory"),
        (large, "more than 16777216 bytes"),
    ):
        said = refusal("http", "http://a/", "--body", f"@{name}")
        assert str(name) in said
        assert why in said
    assert "the name of the file is missing after @" in refusal("http", "http://a/", "--body", "@")


@pytest.mark.parametrize("method", ["", " ", "GE T", "PÖST"])
def test_a_method_that_is_none_is_refused_also_when_it_is_empty(method: str) -> None:
    with pytest.raises(PlanError, match=f"{method!r} is not an HTTP method"):
        CliRunner().invoke(
            app, ["http", "http://a/", "-X", method, "--print-plan"], standalone_mode=False, catch_exceptions=False
        )


def test_bodies_of_plans_are_text_or_base64() -> None:
    assert HttpRequest(url="http://a/", body_base64="/w==").content == b"\xff"
    with pytest.raises(PlanError, match="body_base64 is not base64"):
        HttpRequest(url="http://a/", body_base64="?")
    with pytest.raises(PlanError, match="both given"):
        HttpRequest(url="http://a/", body="a", body_base64="/w==")


@pytest.mark.parametrize("value", ["a\x1bb", "a\x7f", "a\x00b", "a\nb", "a\rb", "\x0b", "a\x85\x01"])
def test_control_characters_in_headers_are_refused_with_the_header(value: str) -> None:
    with pytest.raises(PlanError, match=r"X-A.* is not a header: its value must not contain"):
        HttpRequest(url="http://a/", headers=("Accept: */*", f"X-A: {value}"))


def test_tabs_and_letters_of_any_language_are_allowed_in_headers() -> None:
    assert HttpRequest(url="http://a/", headers=("X-A: a\tж",)).headers == ("X-A: a\tж",)


def read(table: str) -> HttpRequest:
    (request,) = parse_requests(f"[[request]]\nurl = 'http://a/'\n{table}")
    return request


def test_a_list_of_values_is_several_header_lines() -> None:
    request = read("headers = { X-A = ['1', '2'], X-B = 'c', X-C = 7 }")
    assert request.headers == ("X-A: 1", "X-A: 2", "X-B: c", "X-C: 7")


@pytest.mark.parametrize(
    "value", ["true", "1.5", "2026-11-30", "{ a = 'b' }", "['1', true]", "[['1']]", "inf", "[1.0]", "10:00:00"]
)
def test_other_values_of_headers_are_refused_with_their_place(value: str) -> None:
    with pytest.raises(PlanError, match=r"request 1: headers\.X-A must be a text or a list of texts, got") as caught:
        read(f"headers = {{ X-A = {value} }}")
    assert caught.value.hint


def test_a_request_of_a_file_with_a_body_and_no_method_is_a_post() -> None:
    assert read("body = 'x'").method == "POST"
    assert read("body_base64 = '/w=='").method == "POST"
    assert read("body = 'x'\nmethod = 'GET'").method == "GET"
    assert read("").method == "GET"


def test_mistakes_in_a_request_of_a_plan_have_their_place(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(
        "[[requests]]\nurl = 'http://a/'\n[[requests]]\nurl = 'http://a/'\nheaders = ['X-A: \\u0001']\n".replace(
            "'", '"'
        )
    )
    assert refusal("http", "--plan", file).startswith(
        f"{file}: requests[1]: 'X-A: \\x01' is not a header: its value must not contain"
    )
