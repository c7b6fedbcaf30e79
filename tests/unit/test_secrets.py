"""Secrets are masked in records, reports, printed plans, messages and logs, unless --record-secrets is given."""

from __future__ import annotations

import dataclasses
import io
import json
import stat
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from coordinator.cli import main
from coordinator.kinds.catalog import judges
from coordinator.output.catalog import FORMATS, write
from coordinator.output.judged import read_judged
from coordinator.record.document import finished, header_of, unfinished
from coordinator.record.header import Header
from coordinator.record.reader import load
from coordinator.record.writer import AGENTS_LOG, RecordWriter
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.http_secrets import hidden, without_secrets
from loadgen.model.secrets import MASK, is_secret, mask_body, mask_header, mask_text, mask_url
from loadgen.model.units import NS_PER_S
from tests.support import https
from tests.support.judged import END
from tests.support.printed_plans import plan_data

URL = "http://192.0.2.1/a?access_token=s3cret-1&page=2"
HEADERS = ("Authorization: Basic s3cret-2", "Cookie: id=s3cret-3; theme=s3cret-4", "Accept: text/html")
OTHERS = ("Proxy-Authorization: s3cret-5", "X-Api-Key: s3cret-6")
BODY = '{"user": "ann", "password": "s3cret-7"}'
PLAN = HttpPlan(
    requests=(
        HttpRequest(url=URL, headers=HEADERS, method="POST", body=BODY),
        HttpRequest(url="http://192.0.2.1/b", headers=OTHERS),
    ),
    connections=4,
    duration_ns=2 * NS_PER_S,
)
COMMAND = ("loadgen", "http", URL, "-H", HEADERS[0], f"-H{HEADERS[1]}", f"--header={OTHERS[0]}", "--body", BODY)


def header(*, shows_secrets: bool = False) -> Header[HttpPlan]:
    plain = https.header(PLAN)
    environment = dataclasses.replace(plain.environment, command_line=COMMAND)
    return dataclasses.replace(plain, environment=environment, shows_secrets=shows_secrets)


def record(directory: Path, *, shows_secrets: bool = False) -> Path:
    known = header(shows_secrets=shows_secrets)
    with RecordWriter(directory, unfinished(known)) as writer:
        writer.append(https.snapshots(PLAN))
        writer.log("c1", "GET http://ann:s3cret-8@192.0.2.1/ failed; Authorization: Bearer s3cret-9")
        writer.finish(finished(known, https.result(PLAN), finished_at=END))
    return directory


@pytest.mark.parametrize(
    "line", [*HEADERS[:2], *OTHERS, "x-auth-token: s", "X-CSRF-Token:s", "PRIVATE-TOKEN: s", "X-JWT: s", "DPoP: s"]
)
def test_headers_that_hold_secrets_are_masked(line: str) -> None:
    assert mask_header(line) == f"{line.partition(':')[0]}: {MASK}"


@pytest.mark.parametrize(
    "line", ["Accept: a", "Author: me", "Content-Type: a/b", "X-Request-Id: 7", "Cookie:", "X-Pwdx: 1"]
)
def test_other_headers_stay(line: str) -> None:
    assert mask_header(line) == line


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://ann:pass@h/", "http://ann:***@h/"),
        ("https://token@h/x@y", "https://***@h/x@y"),
        ("ssh://ann@h:22", "ssh://ann@h:22"),
        ("ssh://ann:pw@h", "ssh://ann:***@h"),
        ("http://h/?api_key=1&b=2", "http://h/?api_key=***&b=2"),
        ("http://h/?b=2&X-Amz-Signature=1#id_token=3", "http://h/?b=2&X-Amz-Signature=***#id_token=***"),
        ("http://h/?key=1;sig=2", "http://h/?key=***;sig=***"),
        ("http://h/a@b?page=1", "http://h/a@b?page=1"),
        ("http://h/?api%5Fkey=1&tok%65n=2", "http://h/?api%5Fkey=***&tok%65n=***"),
        ("http://h/eyJhbGciOiJIUzI1NiJ9.eyJzIjoiMSJ9.abc-_/x", "http://h/***/x"),
        ("http://h/eyJhbGci.png", "http://h/eyJhbGci.png"),
    ],
)
def test_urls(text: str, masked: str) -> None:
    assert mask_url(text) == masked
    assert mask_url(masked) == masked


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        ("user=ann&password=x&n=1", "user=ann&password=***&n=1"),
        (BODY, '{"user": "ann", "password": "***"}'),
        ("{'client_secret': 5, 'n': 1}", "{'client_secret': ***, 'n': 1}"),
        ("plain text", "plain text"),
        ("<a><password>x</password><n>1</n></a>", "<a><password>***</password><n>1</n></a>"),
        ('<w:Token t="1">x y</w:Token>', '<w:Token t="1">***</w:Token>'),
        ("<token>{{token}}</token>", "<token>{{token}}</token>"),
        ('{"token": ["a", "b"], "n": [1]}', '{"token": ***, "n": [1]}'),
        ('{"secret": {"a": {"b": "c"}}, "n": {"a": 1}}', '{"secret": ***, "n": {"a": 1}}'),
        ('{"token": {{token}}}', '{"token": {{token}}}'),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA", "-----BEGIN RSA PRIVATE KEY-----\n***\n-----END RSA"),
        ("-----BEGIN PRIVATE KEY-----\nabc", "-----BEGIN PRIVATE KEY-----\n***\n"),
        (
            '--x\r\nContent-Disposition: form-data; name="pwd"\r\n\r\na\r\nb\r\n--x\r\n'
            'Content-Disposition: form-data; name="n"\r\nContent-Type: a/b\r\n\r\n1\r\n--x--\r\n',
            '--x\r\nContent-Disposition: form-data; name="pwd"\r\n\r\n***\r\n--x\r\n'
            'Content-Disposition: form-data; name="n"\r\nContent-Type: a/b\r\n\r\n1\r\n--x--\r\n',
        ),
    ],
)
def test_bodies(body: str, masked: str) -> None:
    assert mask_body(body) == masked
    assert mask_body(masked) == masked


@pytest.mark.parametrize("name", ["authorization", "session_id", "sid", "JWT", "refresh_token"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("text", ["give -H 'Authorization: …'", "author: ann", "the key of the host", "a monkey=1"])
def test_other_texts_stay(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"disturbance", "tcp", "vms"}))  # these records have none
def test_no_part_of_a_record_holds_a_secret(form: str, tmp_path: Path) -> None:
    run = record(tmp_path / "run")
    stream = io.StringIO()
    write(read_judged(run, judges()), form, stream)
    assert "s3cret" not in stream.getvalue()
    for file in run.iterdir():
        assert b"s3cret" not in file.read_bytes()
    assert (run / AGENTS_LOG).read_text() == "c1: GET http://ann:***@192.0.2.1/ failed; Authorization: ***\n"


def test_the_rest_of_the_plan_is_recorded(tmp_path: Path) -> None:
    found = load(record(tmp_path / "run")).header
    assert found.plan == without_secrets(PLAN)
    assert found.targets == PLAN.targets
    assert found.plan.requests[0].headers == ("Authorization: ***", "Cookie: ***", "Accept: text/html")
    assert found.environment.command_line[3:5] == ("-H", "Authorization: ***")


def test_an_option_keeps_the_secrets_and_they_stay_when_the_record_is_written_again(tmp_path: Path) -> None:
    run = record(tmp_path / "run", shows_secrets=True)
    document = json.loads((run / "run.json").read_text())
    assert document["plan"] == json.loads(json.dumps(PLAN.to_dict()))
    assert tuple(document["environment"]["command_line"]) == COMMAND
    assert unfinished(header_of(document))["plan"] == document["plan"]


def test_only_its_owner_can_read_a_record(tmp_path: Path) -> None:
    run = record(tmp_path / "deep" / "run")
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in run.iterdir()}
    assert files == dict.fromkeys(["run.json", "intervals.msgpack", "agents.log"], 0o600)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ((), ["-H 'Authorization: …'", "-H 'Cookie: …'", "-H 'Proxy-Authorization: …'", "the URL", "--body"]),
        (
            ("-H", "authorization: x", "-H", "Cookie: x", "-H", "Proxy-Authorization: x", "-H", "X-API-KEY: x"),
            ["--body"],
        ),
        (("http://192.0.2.1/", "--body", "x"), []),
    ],
)
def test_a_replay_says_which_secrets_must_be_given_again(
    given: tuple[str, ...],
    missing: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    # Where nothing is missing, this refusal shows that the plan would be played.
    monkeypatch.setattr(
        sys,
        "argv",
        ["loadgen", "http", "--replay", "run", *given, "--hdr", "nowhere/a.hlog"][: -2 if missing else None],
    )
    assert main() == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) <= 2
    for one in missing:
        assert one in said[0]
    assert ("does not hold its secrets" in said[0]) == bool(missing)


@pytest.mark.parametrize(
    "body",
    [
        b"user=\xe9&password=s3cret&x=1",
        b'{"user": "\xff", "api_key": "s3cret"}',
        b"\x00\x01 token=s3cret\r\n\xfe",
        b"password=s3cret",  # text may be given as base64, too
    ],
)
def test_bodies_in_base64_are_masked_and_their_other_bytes_stay(body: bytes) -> None:
    request = HttpRequest(url="http://192.0.2.1/", method="POST", body_base64=b64encode(body).decode())
    plan = HttpPlan(requests=(request,))
    masked = without_secrets(plan)
    content = masked.requests[0].content
    assert b"s3cret" not in content
    assert content == body.replace(b"s3cret", b"***")
    assert hidden(masked) == ("--body",)
    assert without_secrets(masked) == masked
    binary = dataclasses.replace(request, body_base64=b64encode(bytes(range(256))).decode())
    assert without_secrets(HttpPlan(requests=(binary,))).requests == (binary,)


@pytest.mark.parametrize("login", ["ann:s3cret", "s3cret"])
def test_the_password_of_a_proxy_is_masked(login: str) -> None:
    plan = HttpPlan(requests=(HttpRequest(url="https://192.0.2.1/"),), proxy=f"http://{login}@192.0.2.8:3128")
    masked = without_secrets(plan)
    assert "s3cret" not in json.dumps(masked.to_dict())
    assert "192.0.2.8:3128" in masked.proxy
    assert hidden(masked) == ("--proxy",)
    assert hidden(plan) == ()
    assert without_secrets(masked) == masked
    assert "s3cret" not in mask_text(f"loadgen http https://192.0.2.1/ --proxy {plan.proxy}")


def test_headers_that_are_given_again_leave_the_others() -> None:
    masked = without_secrets(PLAN)
    assert len(hidden(masked)) == 6
    assert hidden(PLAN) == ()


def test_a_printed_plan_is_masked(tmp_path: Path) -> None:
    words = (URL, "-H", HEADERS[0], "-H", HEADERS[2])
    request = plan_data("http", *words)["requests"][0]
    assert request["headers"] == ["Authorization: ***", "Accept: text/html"]
    assert request["url"] == "http://192.0.2.1/a?access_token=***&page=2"
    assert plan_data("http", *words, "--record-secrets")["requests"][0]["headers"] == [HEADERS[0], HEADERS[2]]


def test_a_secret_that_is_given_again_completes_the_headers(tmp_path: Path) -> None:
    record(tmp_path / "run")
    words = ("--replay", str(tmp_path / "run"), "-H", "authorization: new", "--record-secrets")
    assert plan_data("http", *words)["requests"][0]["headers"] == [
        "Cookie: ***",
        "Accept: text/html",
        "authorization: new",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["http", "http://ann:s3cret@h:0/"],
        ["http", "http://h/", "-H", "Authorization: s3cret\nx"],
        ["http", "http://h/?token=s3cret&x=\x7f"],
        ["http", "http://h/", "-H", "Cookie : s3cret"],
    ],
)
def test_messages_are_masked(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["loadgen", *words, "--json"])
    assert main() == 2
    shown = capsys.readouterr()
    assert "s3cret" not in shown.out + shown.err
    assert MASK in shown.err


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a",
            "?",
            "token",
            "9a",
            "a-",
            "&token",
            "token=",
            "a@",
            "token ",
            "Bearer ",
            "://",
            "=:",
            "eyJaaaaa.",
            " eyJaaaaa",
        ),
        *("token:[", "token:{", "token:[a", "<token ", "<token>a", '; name="token"', '; name="token"\n', "-----BEGIN "),
    ],
)
def test_a_huge_text_is_masked_without_going_back(text: str) -> None:
    # A pattern that goes back would need hours for these; the suite would be stopped.
    for ending in ("", "@", "=", "=x", " "):
        mask_text(text * (400_000 // len(text)) + ending)
        mask_body("form-data </ PRIVATE KEY" + text * (400_000 // len(text)) + ending)


def test_a_long_text_takes_linear_time() -> None:
    text = "y" * 200_000 + "token: abc"
    assert mask_text(text) == "y" * 200_000 + f"token: {MASK}"  # quadratic, this takes minutes


def test_a_placeholder_is_no_secret_but_text_beside_it_may_be() -> None:
    for line in ("Authorization: Bearer {{token}}", "Cookie: {{cookie}}", "X-Api-Key:{{key|raw}}"):
        assert mask_header(line) == line
    assert mask_header("Cookie: id=s3cret-1; b={{b}}") == f"Cookie: {MASK}"
    assert mask_url("http://h/?token={{token}}&key=s3cret") == f"http://h/?token={{{{token}}}}&key={MASK}"
    assert mask_body("password={{pw}}&n={{n}}") == "password={{pw}}&n={{n}}"
    plan = HttpPlan(requests=(HttpRequest(url="http://h/?token={{n}}", headers=("Authorization: Basic {{uuid}}",)),))
    assert without_secrets(plan) == plan
    assert hidden(plan) == ()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ann:pw@host/", f"ann:{MASK}@host/"),
        ("loadgen http ann:p:w@host:80/a", f"loadgen http ann:{MASK}@host:80/a"),
        ("--proxy=ann:pw@p:3128", f"--proxy=ann:{MASK}@p:3128"),
        ("a:22,bob@b:22", "a:22,bob@b:22"),  # a list of hosts
        ("ann@host:22", "ann@host:22"),
        ("12:30 @ noon", "12:30 @ noon"),
        (f"ann:{MASK}@host", f"ann:{MASK}@host"),
    ],
)
def test_a_login_without_a_scheme_is_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked
    assert mask_url(text) == masked
