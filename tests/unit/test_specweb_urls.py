"""Paths, bodies and commands: one side reads what the other writes, and refuses any other text."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.errors import PlanError
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from workloads.specweb99 import urls

FILE = st.tuples(st.integers(0, 99_999), st.integers(0, 3), st.integers(0, 8))


@given(FILE, st.integers(0, 10**10 - 1), st.permutations(range(5)))
def test_written_text_reads_back(file: tuple[int, int, int], client: int, order: list[int]) -> None:
    assert urls.parse_file_path(urls.file_path(*file)) == file
    fields = urls.post_body(*file, client).split("&")
    body = "&".join(fields[i] for i in order).encode()
    assert urls.parse_post_body(body) == (*file, client)


@given(st.text(max_size=60))
def test_only_names_of_files_are_paths(text: str) -> None:
    file = urls.parse_file_path(text)
    assert file is None or urls.file_path(*file) == text


@pytest.mark.parametrize(
    "path",
    [
        "/file_set/../etc/passwd",
        "/file_set/dir00000/../dir00000/class0_0",
        "/file_set/dir00000/class0_0/",
        "/file_set/dir00000/class0_0\n",
        "/file_set/dir00000/class4_0",
        "/file_set/dir00000/class0_9",
        "/file_set/dir0000/class0_0",
        "/file_set/dir٠٠٠٠٠/class0_0",
        "file_set/dir00000/class0_0",
        "//file_set/dir00000/class0_0",
        "/file_set/dir00000/class0_0%00",
        "",
    ],
)
def test_paths_cannot_leave_the_root(path: str) -> None:
    assert urls.parse_file_path(path) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"&" * 100_000,
        b"urlroot=/file_set/&dir=00000&class=0&num=0",
        b"urlroot=/file_set/&dir=00000&class=0&num=0&client=1&more=1",
        b"urlroot=/file_set/&dir=00000&class=0&num=0&num=0",
        b"urlroot=/etc/&dir=00000&class=0&num=0&client=1",
        b"urlroot=/file_set/../&dir=00000&class=0&num=0&client=1",
        b"urlroot=/file_set/&dir=00000&class=0&num=0&client=12345678901",
        b"urlroot=/file_set/&dir=00000&class=0&num=0&client=-1",
        b"urlroot=/file_set/&dir=\xff\xff&class=0&num=0&client=1",
    ],
)
def test_invalid_bodies_are_refused(body: bytes) -> None:
    assert urls.parse_post_body(body) is None


@pytest.mark.parametrize(
    "query",
    [
        "",
        "command/Reset",
        "command/Finish",
        "command/Reset&maxload=0&pttime=1&maxthread=0&exp=0,100&urlroot=/",
        "command/Reset&maxload=100001&pttime=1&maxthread=1&exp=0,100&urlroot=/",
        "command/Reset&maxload=1&pttime=1&maxthread=1&exp=0,360&urlroot=/",
        "command/Reset&maxload=1&pttime=999999999&maxthread=1&exp=0,1&urlroot=/",
        "command/Reset&maxload=1&pttime=1&maxthread=1&exp=0,100&urlroot=/\n",
    ],
)
def test_commands_out_of_range_are_refused(query: str) -> None:
    assert urls.parse_reset(query, 0) is None


def test_users_are_the_connections_of_the_largest_vm() -> None:
    assert urls.users(SpecPlan(vms=16, connections=20)) == 20
    targets = tuple(Target(name=f"t{i}", host="h", port=80 + i, weight=w) for i, w in enumerate((1, 2, 5)))
    plan = SpecPlan(vms=3, targets=targets, connections=8)
    assert urls.users(plan) == 15
    assert urls.directories(plan) == 34
    with pytest.raises(PlanError, match="at most 100000"):
        urls.users(SpecPlan(vms=1, connections=100_001))


def test_every_operation_has_a_path_of_its_own() -> None:
    paths = (urls.DYNAMIC_GET, urls.DYNAMIC_CAD, urls.DYNAMIC_POST, urls.DYNAMIC_CGI, urls.COMMAND)
    assert not any(a.startswith(b) for a, b in itertools.permutations(paths, 2))
    assert all(path.startswith(("/dyn/", "/cgi/")) for path in paths)  # web servers in front forward these paths
