"""The settings of a proxy, its command's options, and its output."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from coordinator.cli import main
from coordinator.cli.foreground import progress_line
from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.address import parse_own_address
from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_S
from loadgen.proxy.api import HostConfig, ProxyConfig, Upstream


def config(**changes: Any) -> ProxyConfig:
    ends = {"listen_host": "127.0.0.1", "listen_port": 0, "upstreams": (Upstream("127.0.0.1", 80),)}
    return ProxyConfig(**{**ends, **changes})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mode": Mode.DIRECT}, "must be splice or copy"),
        ({"max_connections": 0}, "at least 1"),
        ({"listen_port": 65536}, "must be 0 to 65535, got 65536"),
        ({"listen_port": -1}, "must be 0 to 65535, got -1"),
        ({"upstreams": (Upstream("127.0.0.1", 0),)}, "must be 1 to 65535, got 0"),
        ({"upstreams": ()}, "at least one upstream"),
        ({"keepalive_ns": -1}, "must not be negative"),
        ({"connect_timeout_ns": 0}, "longer than 0"),
        ({"idle_ns": -1}, "must not be negative"),
        ({"drain_ns": -1}, "must not be negative"),
        ({"window_bytes": -1}, "must not be negative"),
    ],
)
def test_invalid_settings_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        config(**changes)


def host(**changes: Any) -> HostConfig:
    return HostConfig(
        **{
            "host": "127.0.0.1",
            "port": 0,
            "connect_host": "sink",
            "connect_port": 5201,
            "modes": (Mode.SPLICE, Mode.COPY),
            "windows_bytes": (16384, 0),
            **changes,
        }
    )


def test_a_host_has_a_proxy_for_each_mode_and_window() -> None:
    proxies = host(port=7000).proxies()
    assert [(one.mode, one.window_bytes, one.listen_port) for one in proxies] == [
        (Mode.SPLICE, 16384, 7001),
        (Mode.SPLICE, 0, 7002),
        (Mode.COPY, 16384, 7003),
        (Mode.COPY, 0, 7004),
    ]
    assert {one.upstreams for one in proxies} == {(Upstream("sink", 5201),)}
    assert {one.listen_port for one in host().proxies()} == {0}


def test_the_ports_of_a_host_end_at_the_highest_port() -> None:
    with pytest.raises(PlanError, match="got 65536"):
        host(port=65534).proxies()


def test_a_host_survives_the_wire() -> None:
    assert from_plain(HostConfig, to_plain(host())) == host()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", ("127.0.0.1", 8080)),
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
    ],
)
def test_only_the_loopback_address_is_opened_by_default(text: str, address: tuple[str, int]) -> None:
    assert parse_own_address(text) == address


def test_progress_shows_rates_and_only_errors_that_occurred() -> None:
    before = ProxyCounters(accepted=1, forwarded_bytes=1_000_000_000)
    now = ProxyCounters(accepted=1204, open=3, forwarded_bytes=1_250_000_000, returned_bytes=125_000)
    assert progress_line(now, before, 2 * NS_PER_S) == (
        "proxy: 3 open, 1,204 accepted; Mbit/s 1,000.0 forward, 0.50 back; 1.25 GB"
    )
    troubled = ProxyCounters(
        accepted=9, refused=1, upstream_failed=2, upstream_refused=2, local_limit=5, reset=3, idle=4
    )
    assert progress_line(troubled, troubled, NS_PER_S) == (
        "proxy: 0 open, 9 accepted; Mbit/s 0.0 forward, 0.0 back; 0.00 GB;"
        " refused 1; upstream refused 2; no local port 5; reset 3; idle 4"
    )


ENDS = ["--listen", ":0", "--connect", "127.0.0.1:9"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--listen", ":0"], "Missing option '--connect'."),
        (["--connect", "127.0.0.1:9"], "Missing option '--listen'."),
        (["--listen", "8080", "--connect", "127.0.0.1:9"], "'8080' is not HOST:PORT"),
        (["--listen", ":0", "--connect", ":9"], "':9' is not HOST:PORT"),
        (["--listen", ":0", "--connect", "127.0.0.1:0"], "the port to connect to must be 1 to 65535, got 0"),
        (["--listen", "::1:80", "--connect", "127.0.0.1:9"], "'::1:80' is not HOST:PORT"),
        ([*ENDS, "--mode", "direct"], "'direct' is not one of 'splice', 'copy'"),
        ([*ENDS, "--window", "5G"], "'5G' is not a window"),
        ([*ENDS, "--window", "wide"], "'wide' is not a size"),
        ([*ENDS, "--max-connections", "0"], "0 is not in the range"),
        ([*ENDS, "--idle", "soon"], "'soon' is not a duration"),
        ([*ENDS, "--connect-timeout", "0"], "longer than 0"),
        ([*ENDS, "--source", "192.0.2.1"], "cannot connect from 192.0.2.1"),
        ([*ENDS, "--source", "::1"], "no address of the source's family"),
    ],
)
def test_mistakes_are_reported_in_one_line_with_a_hint(
    arguments: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["loadgen", "proxy", *arguments])
    assert main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, *others = err.splitlines()
    assert first.startswith("loadgen: ")
    assert complaint in first
    assert [line.partition(":")[0] for line in others] in ([], ["hint"])
