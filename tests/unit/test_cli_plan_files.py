"""--plan and --replay of every command: options override them, and mistakes are refused in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from coordinator.record.document import unfinished
from coordinator.record.header import Header
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.probe import ForwardPlan, IperfPlan
from tests.support import results
from tests.support.printed_plans import plan_data, refusal

HTTP = HttpPlan(requests=(HttpRequest(url="http://a/"), HttpRequest(url="http://b/", weight=2)), connections=9)
IPERF = IperfPlan(host="192.0.2.1", windows_bytes=(65536,), repeats=2)
FORWARD = ForwardPlan(repeats=2)


def written(directory: Path, data: dict[str, Any]) -> Path:
    file = directory / "plan.toml"
    file.write_text(tomli_w.dumps(data), encoding="utf-8")
    return file


def recorded(directory: Path, kind: str) -> Path:
    """Return a record of this kind with the parts that a replay reads."""
    head = results.header()
    known: dict[str, Any] = {"started_at": head.started_at, "environment": head.environment}
    headers: dict[str, Header[Any]] = {
        "spec": head,
        "http": Header(kind="http", plan=HTTP, fleet=head.fleet, **known),
        "iperf": Header(kind="iperf", plan=IPERF, **known),
        "forward": Header(kind="forward", plan=FORWARD, **known),
    }
    run = directory / kind
    run.mkdir()
    (run / "run.json").write_text(json.dumps(unfinished(headers[kind])))
    return run


@pytest.mark.parametrize(
    ("command", "plan", "arguments", "changes"),
    [
        ("http", HTTP, [], {}),
        ("http", HTTP, ["-c", "8", "-d", "2s"], {"connections": 8, "duration_ns": 2 * 10**9}),
        ("http", HTTP, ["--rate", "5/s", "--poisson"], {"rate_per_s": 5.0, "poisson": True}),
        ("http", dataclasses.replace(HTTP, rate_per_s=5.0, poisson=True), ["--evenly"], {"poisson": False}),
        ("http", HTTP, ["--insecure"], {"tls_verify": False}),
        ("http", dataclasses.replace(HTTP, tls_verify=False), ["--verify"], {"tls_verify": True}),
        ("http", dataclasses.replace(HTTP, slos=("max<1s",)), ["--slo", "max<2s"], {"slos": ["max<2s"]}),
        ("http", dataclasses.replace(HTTP, engines=3), [], {}),
        ("http", dataclasses.replace(HTTP, engines=3), ["--engines", "2"], {"engines": 2}),
        ("http", HTTP, ["--engine", "python", "--timestamps", "loop"], {"engine": "python", "timestamps": "loop"}),
        ("http", HTTP, ["--on-loss", "abort"], {"on_loss": "abort"}),
        ("iperf", IPERF, [], {}),
        ("iperf", IPERF, ["192.0.2.2", "-p", "1"], {"host": "192.0.2.2", "port": 1}),
        ("iperf", IPERF, ["-w", "auto", "--repeats", "1"], {"windows_bytes": [0], "repeats": 1}),
        ("iperf", IPERF, ["-R"], {"directions": ["receive"]}),
        ("iperf", IPERF, ["-u"], {"transport": "udp", "rate_bps": 1_000_000}),
        ("iperf", dataclasses.replace(IPERF, rate_bps=7), ["-u"], {"transport": "udp"}),
        ("iperf", IPERF, ["--rr"], {"kind": "rr", "directions": ["send"]}),
        ("forward", FORWARD, [], {}),
        ("forward", FORWARD, ["--lab", "10g", "--flows", "2"], {"links": ["10g"], "flows": [2]}),
        ("forward", FORWARD, ["--duration", "1s"], {"duration_ns": 10**9, "latency_ns": 10**9}),
        (
            "forward",
            FORWARD,
            ["--sink", "192.0.2.2:1", "--proxy", "192.0.2.1:1"],
            {"links": ["real"], "sink": "192.0.2.2:1", "proxy": "192.0.2.1:1"},
        ),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_an_option_overrides_only_its_own_field_of_the_plan_file(
    tmp_path: Path, command: str, plan: HttpPlan | IperfPlan | ForwardPlan, arguments: list[str], changes: Any
) -> None:
    file = written(tmp_path, plan.to_dict())
    assert plan_data(command, "--plan", file, *arguments) == {**plan.to_dict(), **changes}


def test_urls_replace_the_requests_of_a_plan(tmp_path: Path) -> None:
    file = written(tmp_path, HTTP.to_dict())
    assert [one["url"] for one in plan_data("http", "--plan", file, "http://c/")["requests"]] == ["http://c/"]


def test_options_for_requests_change_each_request_of_a_plan(tmp_path: Path) -> None:
    file = written(tmp_path, HTTP.to_dict())
    changed = plan_data("http", "--plan", file, "--method", "post", "--body", "x", "-H", "A: b")["requests"]
    assert [(one["url"], one["method"], one["headers"], one["body"], one["weight"]) for one in changed] == [
        ("http://a/", "POST", ["A: b"], "x", 1),
        ("http://b/", "POST", ["A: b"], "x", 2),
    ]


def test_options_turn_a_plan_for_real_machines_into_a_plan_for_a_lab(tmp_path: Path) -> None:
    plan = {"links": ["real"], "sink": "192.0.2.2:1", "proxy": "192.0.2.1:1"}
    file = written(tmp_path, plan)
    changed = plan_data("forward", "--plan", file, "--lab", "loopback")
    assert (changed["links"], changed["sink"], changed["proxy"]) == (["loopback"], "", "")


@pytest.mark.parametrize(
    ("command", "data", "arguments", "expected"),
    [
        ("http", {}, ["http://a/"], {"connections": 64}),
        ("http", {"rate_per_s": 5}, ["http://a/"], {"rate_per_s": 5.0}),
        ("http", {"connections": 1}, ["http://a/"], {"engines": 1}),
        ("iperf", {}, ["192.0.2.1"], {"host": "192.0.2.1", "repeats": 4}),
        ("iperf", {"host": "a", "transport": "udp"}, [], {"rate_bps": 1_000_000, "windows_bytes": [0]}),
        ("iperf", {"host": "a", "kind": "rr"}, [], {"directions": ["send"], "windows_bytes": [0]}),
        ("forward", {"sink": "192.0.2.2:1"}, [], {"links": ["real"], "modes": ["direct"]}),
        ("forward", {"links": ["real"]}, ["--sink", "192.0.2.2:1"], {"sink": "192.0.2.2:1", "modes": ["direct"]}),
    ],
    ids=str,
)
def test_fields_missing_in_a_plan_file_have_their_defaults(
    tmp_path: Path, command: str, data: dict[str, Any], arguments: list[str], expected: dict[str, Any]
) -> None:
    found = plan_data(command, "--plan", written(tmp_path, data), *arguments)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("command", ["spec", "http", "iperf", "forward"])
def test_a_replay_uses_the_plan_of_the_record(tmp_path: Path, command: str) -> None:
    run = recorded(tmp_path, command)
    assert plan_data(command, "--replay", run) == json.loads((run / "run.json").read_text())["plan"]


@pytest.mark.parametrize(("command", "other"), [("spec", "http"), ("http", "iperf"), ("iperf", "forward")])
def test_a_record_of_another_command_is_not_replayed(tmp_path: Path, command: str, other: str) -> None:
    assert refusal(command, "--replay", recorded(tmp_path, other)).endswith(f"{other} is a record of loadgen {other}")


@pytest.mark.parametrize("plan", [None, [], {"conections": 3}])
def test_a_damaged_plan_in_a_record_is_named_with_its_file(tmp_path: Path, plan: object) -> None:
    run = recorded(tmp_path, "iperf")
    document = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**document, "plan": plan}))
    assert refusal("iperf", "--replay", run).startswith(str(run / "run.json"))


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        ("http", "conections = 3", "unknown key conections"),
        ("iperf", "repeats = 1", "host is missing"),
        ("http", '[[requests]]\nurl = "a b"', "'a b' is not a URL"),
        ("http", 'requests = []\nengine = "steam"', "engine must be auto, python or compiled, got 'steam'"),
        ("http", "fleet = 3", "fleet must be a table, got 3"),
        ("iperf", 'host = "a"\nrepeats = "many"', "repeats must be a whole number, got 'many'"),
        ("iperf", 'host = "a"\n[fleet]\nscheduler = "b"', "unknown key fleet"),
        ("iperf", 'host = "a"\nrepeats = 0', "repeats must be 1 to 100, got 0"),
        ("forward", 'links = ["fast"]', "links[0] must be gige, 10g, none, loopback or real, got 'fast'"),
        ("forward", "flows = [0]", "flows must be 1 to 1024, got 0"),
        ("forward", "= 1", "is not TOML"),
        ("http", 'slos = ["p99<50"]\n[[requests]]\nurl = "http://a/"', "'p99<50': '50' has no unit"),
        ("http", 'slos = ["quick"]\n[[requests]]\nurl = "http://a/"', "'quick' is not an objective"),
        (
            "iperf",
            'host = "a"\nduration_ns = 1_000_000_000_000_000_000_000',
            "the number of duration_ns is not between -2^63 and 2^63",
        ),
    ],
)
def test_mistakes_in_a_plan_file_are_named_with_the_file(tmp_path: Path, command: str, text: str, message: str) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(text)
    said = refusal(command, "--plan", file)
    assert message in said
    assert said.startswith(str(file))


def test_a_plan_file_without_requests_needs_urls(tmp_path: Path) -> None:
    assert refusal("http", "--plan", written(tmp_path, {"connections": 3})) == "no URL is given"


@pytest.mark.parametrize(
    ("command", "plan", "arguments", "message"),
    [
        ("http", HTTP, ["-c", "0"], "connections must be at least 1, got 0"),
        ("http", HTTP, ["--engines", "99"], "engines must be between 1 and 9, the number of connections, got 99"),
        ("iperf", IPERF, ["--repeats", "0"], "repeats must be 1 to 100, got 0"),
        ("forward", FORWARD, ["--repeats", "0"], "repeats must be 1 to 100, got 0"),
        ("forward", FORWARD, ["--sink", "192.0.2.2:1"], "splice and copy go through a proxy"),
    ],
)
def test_a_mistake_in_an_option_does_not_blame_the_plan_file(
    tmp_path: Path, command: str, plan: HttpPlan | IperfPlan | ForwardPlan, arguments: list[str], message: str
) -> None:
    assert refusal(command, "--plan", written(tmp_path, plan.to_dict()), *arguments) == message


@pytest.mark.parametrize("command", ["spec", "http", "iperf", "forward"])
def test_an_unreadable_plan_file_is_named(tmp_path: Path, command: str) -> None:
    missing = tmp_path / "none.toml"
    assert refusal(command, "--plan", missing) == f"the plan {missing} cannot be read: No such file or directory"
    assert refusal(command, "--plan", missing, "--replay", "x") == "--plan and --replay are both given"
