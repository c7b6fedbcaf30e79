"""Counters of the kernel: real text, text that is missing, and what is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.host.counters import (
    Counters,
    between,
    mean_mhz,
    parse_pressure,
    parse_snmp,
    parse_softnet,
    quota_between,
    read_counters,
)
from loadgen.host.quota import Periods

PRESSURE = "some avg10=54.06 avg60=45.23 avg300=33.58 total=7397931\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99\n"
SOFTNET = (
    "04676515 00000002 00000009 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n"
    "044f688e 0000000a 00000014 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000001\n"
)
SNMP = (
    "Ip: Forwarding DefaultTTL InReceives\nIp: 1 64 99\n"
    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs "
    "OutSegs RetransSegs InErrs OutRsts InCsumErrors\nTcp: 1 200 120000 -1 22 21 9 19 12 1363 1367 371 0 21 0\n"
)
NETSTAT = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 463 464\nIpExt: InNoRoutes\nIpExt: 0\n"


def machine(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        file = tmp_path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_the_counters_of_a_machine(tmp_path: Path) -> None:
    proc = machine(tmp_path, pressure__cpu=PRESSURE, net__softnet_stat=SOFTNET, net__snmp=SNMP, net__netstat=NETSTAT)
    assert read_counters(proc) == Counters(
        pressure_ns=7_397_931_000,
        softnet_dropped=12,
        softnet_squeezed=29,
        tcp_retransmits=371,
        tcp_segments_received=1363,
        tcp_segments_sent=1367,
        listen_overflows=463,
        listen_drops=464,
        quotas=None,
    )


def test_what_a_kernel_does_not_report_is_not_known(tmp_path: Path) -> None:
    assert read_counters(tmp_path) == Counters()
    proc = machine(tmp_path, pressure__cpu="?", net__softnet_stat="zz\n", net__snmp="Tcp: A\nTcp: x\n", net__netstat="")
    assert read_counters(proc) == Counters()
    assert between(Counters(), Counters(softnet_dropped=4)) == {}
    assert quota_between(Counters(), Counters(quotas={})) == {}


def test_the_differences_between_two_samples() -> None:
    before = Counters(pressure_ns=5, softnet_dropped=7, tcp_retransmits=9)
    after = Counters(pressure_ns=8, softnet_dropped=7, tcp_retransmits=2, listen_overflows=1)
    assert between(before, after) == {"pressure_ns": 3, "softnet_dropped": 0, "tcp_retransmits": 0}


def test_the_quota_that_was_used_up_most() -> None:
    one, other = Path("one"), Path("other")
    before = Counters(quotas={one: Periods(100, 50, 7000)})
    after = Counters(quotas={one: Periods(110, 53, 9000), other: Periods(4, 1, 500)})
    assert quota_between(before, after) == {"throttled_ns": 2000, "periods": 10, "throttled_periods": 3}
    assert quota_between(after, after) == {"throttled_ns": 0, "periods": 0, "throttled_periods": 0}
    assert quota_between(Counters(quotas={}), Counters(quotas={})) == {
        "throttled_ns": 0,
        "periods": 0,
        "throttled_periods": 0,
    }


def test_the_frequency_of_cores(tmp_path: Path) -> None:
    for core, khz in ((0, "2400000\n"), (3, "3000000\n"), (4, "odd")):
        directory = tmp_path / f"devices/system/cpu/cpu{core}/cpufreq"
        directory.mkdir(parents=True)
        (directory / "scaling_cur_freq").write_text(khz)
    assert mean_mhz([0, 3], tmp_path) == 2700
    assert mean_mhz([4, 5], tmp_path) is None


def test_malformed_text_is_refused() -> None:
    with pytest.raises(ValueError, match="no line 'some'"):
        parse_pressure("full total=1\n")
    with pytest.raises((ValueError, IndexError)):
        parse_softnet("1\n")
    assert parse_snmp("") == {}


def test_this_machine_reports_its_softnet_and_tcp() -> None:
    found = read_counters()
    assert found.softnet_dropped is not None
    assert found.tcp_retransmits is not None
