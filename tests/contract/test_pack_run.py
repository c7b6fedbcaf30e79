"""Runs of `loadgen pack` on a VM driver that can be told to fail: through the frame of every run, to the record."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from coordinator.kinds.catalog import judges, load_kind
from coordinator.kinds.pack import player, sweep
from coordinator.output.judged import Judged, read_judged
from coordinator.output.terminal.pack_live import PackProgress
from coordinator.record.catalog import KINDS
from coordinator.record.document import unfinished
from coordinator.record.frames import Frames
from coordinator.record.writer import INTERVALS
from coordinator.run.api import Around
from coordinator.run.frame import Run
from deploy.vms import catalog
from loadgen.measure.packing import Room
from loadgen.model.entry import Entry
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.pack import PackPlan
from loadgen.model.plan import Server
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.packing import Cause
from loadgen.verdict.result import Verdict
from tests.support.fake_vms import FakeVms

MIB = 1 << 20
FAKE = FakeVms()


class Watcher:
    """A view that calls a function with everything that is shown."""

    def __init__(self, seen: Callable[[PackProgress], None]) -> None:
        self._seen = seen

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, view: PackProgress) -> None:
        self._seen(view)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeVms], None]:
    """Put a driver in the place of FAKE, and into the catalog as `fake`."""

    def put(driver: FakeVms) -> None:
        monkeypatch.setitem(globals(), "FAKE", driver)
        monkeypatch.setitem(catalog.DRIVERS, "fake", Entry(f"{__name__}:FAKE", "sockets"))

    return put


def play(
    plan: PackPlan, directory: Path, seen: Callable[[Any, PackProgress], None] = lambda run, view: None
) -> Judged[Any, Any]:
    """Play a plan; `seen` is called with the run and with everything that is shown."""
    runs: list[Any] = []

    async def main() -> Judged[Any, Any]:
        around = Around(
            cache=directory / "cache",
            say=lambda text: None,
            progress=lambda done, total: None,
            view=Watcher(lambda view: seen(runs[0], view)),
        )
        run: Any = Run(
            kind=load_kind("pack"),
            plan=plan,
            fleet=None,
            directory=directory / "run",
            around=around,
            command_line=("loadgen", "pack"),
        )
        runs.append(run)
        judged: Judged[Any, Any] = await run.run()
        return judged

    return asyncio.run(main())


def plan(count: int = 0, **more: Any) -> PackPlan:
    return PackPlan(count=count, vm_driver="fake", server=Server.AUTO, **more)


def test_all_vms_run_until_the_sweep_and_none_afterwards(use: Callable[[FakeVms], None], tmp_path: Path) -> None:
    driver = FakeVms()
    use(driver)
    judged = play(plan(20), tmp_path)
    assert (judged.result.verdict, judged.result.packed) == (Verdict.CONFORMING, 20)
    assert judged.result.sweep[0].at_once == 20
    assert (driver.most, driver.up) == (20, 0)
    assert [one.count for one in driver.asked] == [1, 1, 2, 4, 8, 4]
    assert read_judged(tmp_path / "run", judges()).result == judged.result
    assert judged.document["environment"]["server"]["driver"] == "fake"


def test_the_last_vm_that_fits_is_found_and_the_refusal_is_told(use: Callable[[FakeVms], None], tmp_path: Path) -> None:
    driver = FakeVms(fits=11)
    use(driver)
    judged = play(plan(20), tmp_path)
    assert (judged.result.verdict, judged.result.packed) == (Verdict.NOT_CONFORMING, 11)
    assert judged.result.stop.cause is Cause.REFUSED
    assert judged.result.stop.why.endswith("did not start: no more VMs (have more)")
    assert (driver.most, driver.up) == (11, 0)


def test_a_first_vm_that_does_not_start_is_an_error_and_leaves_no_record(
    use: Callable[[FakeVms], None], tmp_path: Path
) -> None:
    use(FakeVms(fits=0))
    with pytest.raises(TargetError, match="no more VMs"):
        play(plan(3), tmp_path)
    assert not list((tmp_path / "run").glob("*"))


def test_a_vm_that_is_silent_in_the_sweep_is_named(use: Callable[[FakeVms], None], tmp_path: Path) -> None:
    use(FakeVms(silent=frozenset({3, 5})))
    judged = play(plan(5, answer_ns=300 * NS_PER_MS), tmp_path)
    assert (judged.result.verdict, judged.result.packed) == (Verdict.NOT_CONFORMING, 3)
    assert [(one.vm, one.why) for one in judged.result.sweep[0].silent] == [
        ("vm0003", "no answer within 0.3 s"),
        ("vm0005", "no answer within 0.3 s"),
    ]


def test_a_vm_that_ends_by_itself_stops_the_packing(use: Callable[[FakeVms], None], tmp_path: Path) -> None:
    driver = FakeVms()
    use(driver)

    def kill(run: Any, view: PackProgress) -> None:
        if view.vms == 4 and driver.die is not None:
            driver.die("it was killed by SIGKILL")
            driver.die = None

    judged = play(plan(64), tmp_path, kill)
    assert (judged.result.verdict, judged.result.stop.cause) == (Verdict.NOT_CONFORMING, Cause.DEATH)
    assert "vm0003 ended by itself: it was killed by SIGKILL" in judged.result.stop.why
    assert judged.result.started < 64


def test_ctrl_c_during_a_start_ends_all_vms_and_keeps_the_curve(use: Callable[[FakeVms], None], tmp_path: Path) -> None:
    driver = FakeVms(hang=6)
    use(driver)
    shown: list[str] = []

    def stop(run: Any, view: PackProgress) -> None:
        shown.append(view.doing)
        if view.vms == 4 and view.doing.startswith("starting"):
            run.interrupt()

    judged = play(plan(64), tmp_path, stop)
    assert (judged.result.verdict, judged.result.packed, judged.result.started) == (Verdict.INTERRUPTED, -1, 4)
    assert [row.vms for row in judged.result.curve] == [1, 2, 4]
    assert driver.up == 0
    assert shown[-1] == "ending VMs: 0 left"
    assert any(text.startswith("ending VMs: ") and text != "ending VMs: 0 left" for text in shown)


def test_a_floor_that_is_reached_during_a_start_ends_that_start(
    use: Callable[[FakeVms], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = FakeVms(hang=5)
    use(driver)

    def room(directory: Path) -> Room:
        """Plenty of memory, until VM 5 starts."""
        return Room(memory_bytes=50 * MIB if len(driver.asked) > 3 else 2000 * MIB, disk_bytes=9000 * MIB)

    monkeypatch.setattr(player, "read_room", room)
    judged = play(plan(), tmp_path)
    assert (judged.result.packed, judged.result.stop.cause) == (4, Cause.MEMORY)
    assert judged.result.stop.why == "memory: another VM would leave less than the 1.0 GiB that is kept free"
    assert driver.up == 0


def test_a_sweep_that_loadgen_cannot_make_is_invalid(
    use: Callable[[FakeVms], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeVms())

    async def out_of_files(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    async def broken(targets: list[Target], path: str, timeout_ns: int) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "open_connection", out_of_files)
            return await sweep.sweep(targets, path, timeout_ns)

    monkeypatch.setattr(player, "sweep", broken)
    judged = play(plan(4), tmp_path)
    assert (judged.result.verdict, judged.result.packed) == (Verdict.INVALID, -1)
    assert judged.result.reasons == ("loadgen could not ask 4 VMs: too many open files",)


def test_the_steps_are_in_the_record_before_the_end(use: Callable[[FakeVms], None], tmp_path: Path) -> None:
    use(FakeVms(fits=3))
    judged = play(plan(), tmp_path)
    assert judged.document != unfinished(judged.header)
    steps = list(Frames(tmp_path / "run" / INTERVALS, KINDS["pack"].measured))
    assert [(one.vms, one.tried, bool(one.refused)) for one in steps] == [
        (0, 0, False),
        (1, 1, False),
        (2, 1, False),
        (2, 2, True),
        (3, 1, False),
        (3, 1, True),
    ]
    assert all(one.room.memory_bytes > 0 for one in steps)


def test_a_driver_of_servers_that_run_already_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="the VM driver inventory needs targets"):
        play(PackPlan(vm_driver="inventory"), tmp_path)


def test_all_connections_are_open_before_the_first_request() -> None:
    """A server that answers nobody until all others are connected, too."""
    vms, together = 5, asyncio.Event
    targets: list[Target] = []

    async def main() -> Any:
        all_here, connected = together(), 0

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connected
            connected += 1
            if connected == vms:
                all_here.set()
            await reader.readuntil(b"\r\n\r\n")
            assert all_here.is_set()
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.close()

        servers = [await asyncio.start_server(answer, "127.0.0.1", 0) for _ in range(vms)]
        targets.extend(
            Target(name=f"vm{n}", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
            for n, server in enumerate(servers)
        )
        found = await sweep.sweep(targets, "/", NS_PER_S)
        for server in servers:
            server.close()
        return found

    found = asyncio.run(main())
    assert (found.asked, found.answered, found.at_once) == (vms, vms, vms)


@pytest.mark.parametrize(
    ("reply", "why"), [(b"HTTP/1.1 503 Busy\r\n\r\n", "it answered HTTP/1.1 503 Busy"), (b"", "an empty reply")]
)
def test_a_reply_that_is_no_200_is_no_answer(reply: bytes, why: str) -> None:
    async def main() -> Any:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            target = Target(name="vm1", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
            gone = Target(name="vm2", host="127.0.0.1", port=9)
            return await sweep.sweep((target, gone), "/", NS_PER_S)

    found = asyncio.run(main())
    assert [(one.vm, one.why, one.ours) for one in found.silent] == [
        ("vm1", why, False),
        ("vm2", "connection refused", False),
    ]
