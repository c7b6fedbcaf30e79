"""Servers that share the machine of the load generator: said when it is known, in each report."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from markupsafe import escape

from coordinator.output.html.report import report_text
from coordinator.output.markdown import write_markdown
from coordinator.output.one_machine import say_shared
from coordinator.output.text import write_text
from coordinator.record.header import Header
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.probe import IperfPlan
from loadgen.model.target import Target
from tests.support import https, results
from tests.support.judged import judged

VMS = "The load generator runs on the VMs' machine and takes CPU from them."


def plan(*hosts: str, **changes: Any) -> HttpPlan:
    requests = tuple(HttpRequest(url=f"http://{host}:8080/") for host in hosts)
    return HttpPlan(requests=requests, connections=8, duration_ns=2_000_000_000, **changes)


def said(*hosts: str, **changes: Any) -> str:
    return say_shared(https.header(plan(*hosts, **changes)))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "[::1]"])
def test_a_loopback_address_is_on_the_machine_of_the_load_generator(host: str) -> None:
    assert said(host) == (
        "The load generator runs on the machine of the server (loopback address) and takes CPU from it."
    )


def test_several_servers() -> None:
    assert "of the servers (loopback addresses) and takes CPU from them." in said("127.0.0.1", "127.0.0.2")
    assert "of 1 of 2 servers (loopback address) and takes CPU from it." in said("127.0.0.1", "192.0.2.1")


@pytest.mark.parametrize(
    "changes",
    [
        {"connect_to": ("127.0.0.1:8080:192.0.2.1:80",)},  # connections go elsewhere
        {"proxy": "http://127.0.0.1:3128"},  # behind it, the server may be anywhere
    ],
)
def test_what_is_not_known_is_not_said(changes: dict[str, Any]) -> None:
    assert not said("192.0.2.1")
    assert not said("127.0.0.1", **changes)


def spec(**changes: Any) -> Header[Any]:
    found = results.header(4)
    return dataclasses.replace(found, plan=dataclasses.replace(found.plan, **changes))


def test_vms_that_the_run_starts_share_its_machine_unless_others_play_the_load() -> None:
    assert say_shared(spec()) == say_shared(spec(vm_driver="qemu")) == VMS
    elsewhere = dataclasses.replace(spec(), fleet=results.three_machines(80))
    assert not say_shared(elsewhere)
    assert not say_shared(dataclasses.replace(spec(), fleet=None))


def test_vms_that_run_already_are_known_by_their_addresses() -> None:
    assert not say_shared(spec(targets=(Target(name="a", host="192.0.2.1", port=80),), vms=1))
    near = spec(targets=(Target(name="a", host="127.0.0.1", port=80),), vms=1)
    assert "the server (loopback address)" in say_shared(near)


@pytest.mark.parametrize(("host", "known"), [("127.0.0.1", True), ("192.0.2.1", False)])
def test_both_ends_of_a_network_test(host: str, known: bool) -> None:
    header: Header[Any] = https.header()
    found = dataclasses.replace(header, plan=IperfPlan(host=host))
    assert say_shared(found) == "Both ends run on one machine (loopback address) and share its CPU." * known


def test_text_markdown_and_page_say_it() -> None:
    near = plan("127.0.0.1")
    run = judged(https.header(near), https.result(near))
    text, markdown = io.StringIO(), io.StringIO()
    write_text(run, text)
    write_markdown(run, markdown)
    sentence = say_shared(run.header)
    assert f"shared {sentence}" in " ".join(text.getvalue().split())
    assert sentence.replace("(", "\\(").replace(")", "\\)") in markdown.getvalue()
    assert str(escape(sentence)) in report_text([run])
    far = judged(https.header(), https.result())
    assert "takes CPU from" not in report_text([far])
