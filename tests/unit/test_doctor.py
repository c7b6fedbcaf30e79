from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deploy.doctor import Advice, Level, diagnose, engine
from deploy.facts import Facts, Sysctls
from loadgen.model.plan import Server

CONNECTS_PER_S = 1.21  # connects per second of each connection of `loadgen spec`

GOOD = Facts(
    cpu_model="EPYC",
    cpus=4,
    usable_cpus=4,
    governors=("performance",),
    memory_bytes=16 << 30,
    available_bytes=12 << 30,
    load_average=(0.1, 0.2, 0.3),
    nofile_soft=1024,
    nofile_hard=20_000,
    sysctls=Sysctls(
        ip_local_port_range=(32768, 60999),
        ip_local_reserved_ports="",
        tcp_tw_reuse=2,
        tcp_max_tw_buckets=131_072,
        tcp_max_syn_backlog=2048,
        somaxconn=4096,
    ),
    servers=((Server.NGINX, "nginx/1.22.1"), (Server.BUILTIN, "aiohttp/3")),
    python="3.11.7",
    packages=(("uvloop", "0.22"), ("numpy", "2.4")),
)


def about(facts: Facts, topic: str, vms: int = 16, connections: int = 20) -> Advice:
    return next(advice for advice in advise(facts, vms, connections) if advice.topic == topic)


def advise(facts: Facts, vms: int, connections: int) -> list[Advice]:
    return diagnose(facts, vms, connections, CONNECTS_PER_S)


def with_sysctls(**changes: object) -> Facts:
    return replace(GOOD, sysctls=replace(GOOD.sysctls, **changes))  # type: ignore[arg-type]


def test_a_good_machine_has_no_problem() -> None:
    assert {advice.level for advice in advise(GOOD, 16, 20)} == {Level.OK}


def test_an_engine_raises_its_limit_to_the_hard_one() -> None:
    alone = replace(GOOD, usable_cpus=1)
    assert about(alone, "open files", vms=16, connections=1200).level is Level.OK
    assert about(replace(GOOD, usable_cpus=2), "open files", vms=16, connections=1300).level is Level.OK
    advice = about(alone, "open files", vms=16, connections=1300)
    assert advice.level is Level.PROBLEM
    assert "1 engines carry at most 19936 connections, not 20800" in advice.meaning
    assert advice.command == "ulimit -n 20864"


def test_a_server_raises_its_limit_to_the_hard_one() -> None:
    low = replace(GOOD, nofile_soft=1024, nofile_hard=1024)
    assert about(low, "open files", vms=1, connections=240).level is Level.OK
    advice = about(low, "open files", vms=1, connections=241)
    assert advice.level is Level.PROBLEM
    assert "at most 240 connections, not 241" in advice.meaning
    assert advice.command == "ulimit -n 1028"


def test_the_default_port_range_carries_374_paced_connections_to_a_server() -> None:
    strict = with_sysctls(tcp_tw_reuse=0)
    assert about(strict, "local ports", connections=374).meaning == "enough for 374 paced connections to one server"
    advice = about(strict, "local ports", connections=375)
    assert advice.level is Level.WARNING
    assert (
        "375 paced connections to one server need up to 28260 ports; 2 source addresses have enough" in advice.meaning
    )
    reserved = with_sysctls(tcp_tw_reuse=0, ip_local_reserved_ports="40000-40099")
    assert about(reserved, "local ports", connections=374).level is Level.WARNING


def test_reused_ports_carry_more_connections() -> None:
    assert about(GOOD, "local ports", connections=12_000).level is Level.OK
    advice = about(GOOD, "local ports", connections=20_000)
    assert advice.level is Level.WARNING
    assert "2 source addresses have enough" in advice.meaning
    assert "ip_local_port_range" in advice.command


def test_too_few_time_wait_buckets() -> None:
    advice = about(with_sysctls(tcp_max_tw_buckets=20_000), "TIME_WAIT")
    assert advice.level is Level.WARNING
    assert advice.command == "sysctl -w net.ipv4.tcp_max_tw_buckets=23233"


def test_a_short_accept_queue() -> None:
    advice = about(with_sysctls(somaxconn=128), "somaxconn", connections=200)
    assert advice.level is Level.WARNING
    assert advice.command == "sysctl -w net.core.somaxconn=200"


def test_unreadable_settings_are_reported() -> None:
    hidden = with_sysctls(ip_local_port_range=None, tcp_max_tw_buckets=None, somaxconn=None, tcp_max_syn_backlog=None)
    unknown = [advice for advice in advise(hidden, 16, 20) if advice.finding.endswith("cannot be read here")]
    assert [advice.level for advice in unknown] == [Level.WARNING] * 4


def test_too_little_memory() -> None:
    assert about(replace(GOOD, available_bytes=300 << 20), "memory", vms=64).level is Level.PROBLEM


def test_a_slow_governor() -> None:
    advice = about(replace(GOOD, governors=("performance", "powersave")), "CPU governor")
    assert advice.level is Level.WARNING
    assert "performance" in advice.command


def test_an_unknown_governor_is_not_mentioned() -> None:
    assert all(advice.topic != "CPU governor" for advice in advise(replace(GOOD, governors=()), 16, 20))


def test_one_cpu_and_a_busy_one() -> None:
    assert about(replace(GOOD, usable_cpus=1), "CPUs").level is Level.WARNING
    assert about(replace(GOOD, load_average=(2.1, 0, 0)), "load average").level is Level.WARNING


def test_only_the_builtin_server() -> None:
    advice = about(replace(GOOD, servers=((Server.BUILTIN, "aiohttp/3"),)), "web servers")
    assert advice.level is Level.WARNING
    assert "apt-get install" in advice.command


def test_a_missing_package() -> None:
    advice = about(replace(GOOD, packages=(("uvloop", None), ("numpy", "2.4"))), "Python")
    assert advice.level is Level.PROBLEM
    assert advice.command == "pip install uvloop"


@given(st.integers(1, 1000), st.integers(1, 5000))
def test_a_problem_has_an_explanation(vms: int, connections: int) -> None:
    for advice in advise(GOOD, vms, connections):
        assert advice.level is Level.OK or advice.meaning


def test_the_engine_and_the_reason_for_it_are_shown() -> None:
    assert engine("") == Advice(level=Level.OK, topic="engine", finding="the compiled engine")
    slow = engine("it was not built: there was no C compiler")
    assert slow.level is Level.WARNING
    assert "no C compiler" in slow.finding
    assert "install" in slow.meaning
