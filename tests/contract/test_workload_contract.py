"""The contract of workloads: laws of every workload of the catalog, and of the toy of CONTRIBUTING's recipe."""

from __future__ import annotations

import asyncio
import math
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deploy.ask import ask_all
from deploy.servers.builtin import find as find_builtin
from deploy.vms.api import VmRequest
from deploy.vms.local import LocalVms
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from loadgen.schedule.optape import OpTape
from tests.support.toy_workload import Toy, ToyPlan
from tests.support.vms import entered
from workloads import catalog
from workloads.api import Sent, ServerCheck, ServerFiles, Workload
from workloads.specweb99 import mix, page, postlog, urls


def post_log(counts: NDArray[np.int64]) -> bytes:
    """Return the reply to Fetch of a server that received these operations and kept its POST log correctly."""
    posts = counts[:, mix.POST, 0]
    records = [
        postlog.PostRecord(
            number=number,
            time_s=1,
            pid=7,
            directory=0,
            class_=class_,
            num=0,
            client=1,
            name=urls.file_path(0, class_, 0),
            pid_again=7,
            user_id=10_000,
        )
        for number, class_ in enumerate(np.repeat(np.arange(len(posts)), posts).tolist(), start=1)
    ]
    log = postlog.header(len(records)) + b"".join(record.to_bytes() for record in records)
    return page.render(log, software="", remote="", script="", query="")


@dataclass(frozen=True)
class Case:
    """A plan, the numbers that follow from it, and a correct server's reply to the request after an iteration."""

    plan: Any
    other: Any
    connections: int
    targets: int
    reply: Callable[[NDArray[np.int64]], bytes] | None = None


def http_plan(requests: int, seed: int = 1) -> HttpPlan:
    asked = tuple(HttpRequest(url=f"http://127.0.0.1:{80 + n % 3}/{n}", weight=1 + n % 2) for n in range(requests))
    return HttpPlan(requests=asked, connections=16, seed=seed)


def later_plan(workload: str, vms: int, connections: int, seed: int = 1) -> SpecPlan:
    given = {"workload": workload, "vms": vms, "connections": connections, "seed": seed}
    return SpecPlan.from_dict({**catalog.defaults_of(workload), **given})


CASES = {
    "http": Case(http_plan(5), http_plan(6), 16, 3),
    "http, many requests": Case(http_plan(50), http_plan(51), 16, 3),
    "specweb99": Case(SpecPlan(vms=3, connections=4), SpecPlan(vms=3, connections=4, seed=2), 12, 3, post_log),
    "specweb99, given targets": Case(
        SpecPlan(vms=1, targets=(Target(name="a", host="::1", port=1, weight=2),), connections=7),
        SpecPlan(vms=1, targets=(Target(name="a", host="::1", port=1, weight=2),), connections=8),
        7,
        1,
        post_log,
    ),
    "banking": Case(later_plan("banking", 3, 4), later_plan("banking", 3, 4, seed=2), 12, 3),
    "banking, many connections": Case(later_plan("banking", 8, 50), later_plan("banking", 8, 50, seed=2), 400, 8),
    "support": Case(later_plan("support", 3, 4), later_plan("support", 3, 4, seed=2), 12, 3),
    "support, many connections": Case(later_plan("support", 8, 50), later_plan("support", 8, 50, seed=2), 400, 8),
    "toy": Case(ToyPlan(), ToyPlan(5), 4, 1, lambda counts: b"%d" % counts.sum()),
}
CHECKED = [name for name, case in CASES.items() if case.reply]


def workload(case: str) -> Workload[Any]:
    name = case.partition(",")[0]
    return Toy() if name == "toy" else catalog.choose(name)


def test_every_workload_of_the_catalog_is_tested() -> None:
    assert set(catalog.names()) <= {case.partition(",")[0] for case in CASES}


def test_an_unknown_workload_is_refused() -> None:
    with pytest.raises(PlanError, match="there is no workload 'gopher'") as caught:
        catalog.choose("gopher")
    assert "http, specweb99, support, banking" in caught.value.hint


@pytest.fixture(scope="module", params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tape(name: str) -> OpTape:
    return workload(name).compile(CASES[name].plan)


def test_equal_plans_give_equal_tapes_and_different_plans_give_different_tapes(name: str, tape: OpTape) -> None:
    assert workload(name).compile(CASES[name].plan).to_wire() == tape.to_wire()
    assert workload(name).compile(CASES[name].other).to_wire() != tape.to_wire()


def test_operations_are_counted_in_the_categories_of_the_tape(name: str, tape: OpTape) -> None:
    counting = workload(name).counting(CASES[name].plan)
    assert (counting.kinds, counting.groups, counting.kind_shares) == (tape.kinds, tape.groups, tape.kind_shares)
    assert len(counting.kind_shares) == len(counting.kinds)
    assert math.isclose(sum(counting.kind_shares), 1)
    assert tape.ops["kind"].max() < len(counting.kinds)
    assert tape.ops["group"].max() < len(counting.groups)


def test_operations_refer_to_existing_entries(name: str, tape: OpTape) -> None:
    assert tape.ops["target"].max() < CASES[name].targets
    assert tape.ops["next"].max() < len(tape.ops)
    assert tape.ops["check"].max() < len(tape.checks)
    assert max(int(tape.ops[column].max()) for column in ("line", "rest", "cookie", "literal")) < len(tape.strings)
    for line in {tape.strings[int(at)] for at in tape.ops["line"]}:
        assert line.endswith(b" HTTP/1.1\r\n")


def test_every_connection_starts_in_every_segment(name: str, tape: OpTape) -> None:
    assert tape.starts.shape[1] == CASES[name].connections
    assert tape.starts["row"].max() < len(tape.ops)
    assert tape.starts["delay_ns"].min() >= 0


def test_timings_are_those_of_the_tape(name: str, tape: OpTape) -> None:
    """One ring, in the order of the rows; a reply is longer than its content."""
    timings = workload(name).timings(CASES[name].plan)
    if timings is None:
        return
    assert timings.starts.tolist() == tape.starts.tolist()
    assert tape.ops["next"].tolist() == [*range(1, len(tape.ops)), 0]
    around = timings.reply_bytes - tape.checks["content_bytes"][tape.ops["check"]]
    assert 0 < around.min() <= around.max() < 1_000
    assert 0 <= timings.doubt_bytes < timings.reply_bytes.mean()


def test_a_connection_opens_a_finite_number_of_tcp_connections(name: str) -> None:
    connects_per_s = workload(name).connects_per_s(CASES[name].plan)
    assert math.isfinite(connects_per_s)
    assert connects_per_s >= 0


# --- files that servers must serve


@pytest.fixture(scope="module", params=["specweb99", "support", "banking"])
def files(request: pytest.FixtureRequest) -> ServerFiles:
    found = workload(request.param).files(CASES[request.param].plan)
    assert found is not None
    return found


def test_all_and_only_workloads_that_need_files_are_tested() -> None:
    needing = {name.partition(",")[0] for name, case in CASES.items() if workload(name).files(case.plan) is not None}
    assert needing == {"specweb99", "support", "banking"}


@pytest.fixture(scope="module")
def root(files: ServerFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("files")
    told: list[tuple[int, int]] = []
    assert files.prepare(root, lambda done, total: told.append((done, total))) > 0
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told)
    return root


def test_files_are_made_once_and_are_correct(files: ServerFiles, root: Path) -> None:
    assert files.prepare(root, lambda done, total: None) == 0
    assert files.verify(root) == []
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) == files.size_bytes


@pytest.fixture(scope="module")
def copied(files: ServerFiles, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copied = tmp_path_factory.mktemp("copy")
    files.copy(root, copied, lambda done, total: None)
    return copied


def test_a_copy_is_complete_and_an_error_in_it_is_found(files: ServerFiles, copied: Path) -> None:
    assert files.verify(copied) == []
    victim = copied / files.proof_path.removeprefix("/")
    correct = victim.read_bytes()
    victim.write_bytes(b"x" * len(correct))
    assert len(files.verify(copied)) == 1
    victim.write_bytes(correct)


def test_the_text_for_their_number_has_a_number(files: ServerFiles) -> None:
    assert files.extent.split()[0].isdecimal()


def status(target: Target, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{target.authority}{path}", timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def serving(files: ServerFiles, docroot: Path, proof_path: str) -> AbstractContextManager[LocalVms]:
    request = VmRequest(count=1, docroots=(docroot,), app=files.app, proof_path=proof_path, app_path=files.app_path)
    return entered(LocalVms(find_builtin(), request))


def test_only_a_server_with_all_files_answers_the_proof(files: ServerFiles, root: Path, copied: Path) -> None:
    with serving(files, root, files.proof_path) as vms:
        assert status(vms.targets[0], files.proof_path) == 200
        assert status(vms.targets[0], files.app_path) == 200
    (copied / files.proof_path.removeprefix("/")).unlink()
    with serving(files, copied, proof_path="") as vms:
        assert status(vms.targets[0], files.proof_path) == 404


def test_the_log_of_a_prepared_server_is_compared_with_the_operations(files: ServerFiles, root: Path) -> None:
    if workload("specweb99").files(CASES["specweb99"].plan) != files:
        return
    check = check_of("specweb99")
    with serving(files, root, files.proof_path) as vms:
        assert [answer.problem for answer in asyncio.run(ask_all(vms.targets, check.before_path))] == [""]
        (answer,) = asyncio.run(ask_all(vms.targets, check.after_path))
    assert answer.problem == ""
    assert check.problems(answer.body, sent("specweb99", 0)) == []
    assert check.problems(answer.body, sent("specweb99", 1))


# --- requests to servers around iterations


@pytest.fixture(params=CHECKED)
def checked(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def check_of(name: str) -> ServerCheck:
    check = workload(name).check(CASES[name].plan)
    assert check is not None
    return check


def sent(name: str, ok: int, *, complete: bool = True) -> Sent:
    """Return some operations of every kind and group: `ok` of each without an error."""
    counting = workload(name).counting(CASES[name].plan)
    counts = np.zeros((len(counting.kinds), len(counting.groups), 3), np.int64)
    counts[..., 0] = ok
    return Sent(counts, complete)


def test_all_and_only_workloads_with_a_reply_check_servers() -> None:
    assert [name for name in CASES if workload(name).check(CASES[name].plan) is not None] == CHECKED


def test_a_correct_reply_is_accepted(checked: str) -> None:
    check, reply = check_of(checked), CASES[checked].reply
    assert reply is not None
    for ok in (0, 1, 30):
        assert check.problems(reply(sent(checked, ok).counts), sent(checked, ok)) == []
    assert check.passed([sent(checked, 30)]) != check.passed([sent(checked, 31)])


@pytest.mark.parametrize(("claimed", "happened"), [(30, 29), (29, 30), (0, 1), (1, 0)])
def test_a_reply_that_contradicts_the_operations_is_refused(checked: str, claimed: int, happened: int) -> None:
    reply = CASES[checked].reply
    assert reply is not None
    problems = check_of(checked).problems(reply(sent(checked, claimed).counts), sent(checked, happened))
    assert problems
    assert all(problem and "\n" not in problem for problem in problems)


@given(body=st.binary(max_size=300))
@pytest.mark.parametrize("name_", CHECKED)
def test_garbage_is_refused_without_an_exception(name_: str, body: bytes) -> None:
    assert check_of(name_).problems(body, sent(name_, 7))


def test_the_requests_are_paths(checked: str) -> None:
    check = check_of(checked)
    assert check.name
    assert check.before_path.startswith("/")
    assert check.after_path.startswith("/")
