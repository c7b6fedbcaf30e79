from __future__ import annotations

import os

import pytest

from deploy.facts import gather, parse_cpu_model, parse_meminfo, parse_number, parse_range
from deploy.proc import parent_in_stat
from deploy.servers.builtin import find
from loadgen.model.plan import Server

MEMINFO = """\
MemTotal:       24684096 kB
MemAvailable:   24284680 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
"""

CPUINFO = """\
processor\t: 0
model name\t: AMD EPYC 7763: 64-Core
processor\t: 1
model name\t: AMD EPYC 7763: 64-Core
processor\t: 2
model name\t: another
"""


def test_memory_is_in_bytes() -> None:
    assert parse_meminfo(MEMINFO) == {
        "MemTotal": 24684096 * 1024,
        "MemAvailable": 24284680 * 1024,
        "Hugepagesize": 2048 * 1024,
    }


def test_the_most_common_cpu_model_is_reported() -> None:
    assert parse_cpu_model(CPUINFO) == "AMD EPYC 7763: 64-Core"
    assert parse_cpu_model("Processor: ARM\n") is None


@pytest.mark.parametrize(("text", "value"), [("4096\n", 4096), ("", None), ("max\n", None), ("-1", None)])
def test_numbers(text: str, value: int | None) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(("text", "value"), [("32768\t60999\n", (32768, 60999)), ("", None), ("1 2 3", None)])
def test_ranges(text: str, value: tuple[int, int] | None) -> None:
    assert parse_range(text) == value


@pytest.mark.parametrize(
    ("text", "parent"), [("12 (a) S 7 12 12 0", 7), ("12 (a (b) c) d) R 8 1", 8), ("", None), ("12 (a)", None)]
)
def test_a_parent_is_found_behind_any_process_name(text: str, parent: int | None) -> None:
    assert parent_in_stat(text) == parent


def test_this_machine_has_facts() -> None:
    facts = gather([find()])
    assert facts.usable_cpus == len(os.sched_getaffinity(0))
    assert 0 < facts.available_bytes <= facts.memory_bytes
    assert [kind for kind, _ in facts.servers] == [Server.BUILTIN]
    assert all(version for _, version in facts.packages)
