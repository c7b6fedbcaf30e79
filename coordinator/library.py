"""loadgen as a library: play a plan from Python, and get its result as a value.

    from coordinator.library import HttpPlan, HttpRequest, play

    result = play(HttpPlan(requests=(HttpRequest(url="http://127.0.0.1:8080/"),)))
    assert result.conforming, result.reasons

A plan is played exactly as by the command of its kind (`loadgen spec`, `http`, `iperf`, `forward`), with the same
record.  Nothing is printed, and no signal is handled.  docs/library.md is the page for users.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypedDict, TypeVar, Unpack, overload

import uvloop

from coordinator.experiment.once import Once
from coordinator.experiment.performance import Session, Surroundings, cache_directory, perform, record_directory
from coordinator.fleet.choice import FleetChoice, WayKind
from coordinator.kinds.catalog import judges
from coordinator.output.catalog import FORMATS, write
from coordinator.output.judged import Judged, read_judged
from coordinator.output.terminal.http_view import HttpView
from coordinator.output.terminal.progress import Progress as NetworkProgress
from coordinator.output.terminal.runview import RunView
from coordinator.run.api import Around, Kind
from coordinator.run.frame import Run
from coordinator.run.ready import check_credentials, check_reach, with_data
from loadgen.agent.extra import require_fleet
from loadgen.measure.throughput import Tick
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.plan import Phases, SpecPlan
from loadgen.model.probe import ForwardPlan, IperfPlan
from loadgen.model.units import NS_PER_S
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.network_result import ForwardResult, IperfResult
from loadgen.verdict.result import RunResult, Verdict
from loadgen.verdict.slo import Slo

__all__ = [
    "NS_PER_S",
    "FleetChoice",
    "ForwardPlan",
    "HttpPlan",
    "HttpRequest",
    "IperfPlan",
    "LoadgenError",
    "Phases",
    "PlanError",
    "Progress",
    "Result",
    "SpecPlan",
    "Verdict",
    "play",
    "play_async",
    "read_record",
]

R = TypeVar("R", covariant=True)

_KINDS: dict[type, str] = {SpecPlan: "spec", HttpPlan: "http", IperfPlan: "iperf", ForwardPlan: "forward"}
_ON_FLEET = (SpecPlan, HttpPlan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One moment of a run.

    `phase` is a word for people, or the name of the running test.  `elapsed_s` and `total_s` are the time since the
    start and the length by the plan.  `per_s` (completed requests) and `mbit_per_s` are rates of the newest complete
    second; None while there is none, and `per_s` is None in network tests.  `errors` are those of the measured window
    so far.  `notices` are sentences for the user.
    """

    phase: str
    elapsed_s: float
    total_s: float
    per_s: float | None
    mbit_per_s: float | None
    errors: int
    notices: tuple[str, ...]


OnProgress = Callable[[Progress], object]
OnMessage = Callable[[str], object]


class How(TypedDict, total=False):
    """The arguments of :func:`play` and :func:`play_async`, which describes them."""

    record: Path | str | None
    on_progress: OnProgress | None
    on_message: OnMessage | None


class OnFleet(How, total=False):
    """The arguments for plans that load machines can play."""

    fleet: FleetChoice | None


@dataclass(frozen=True, slots=True, repr=False)
class Result(Generic[R]):
    """The result of a run, as its record holds it.

    `numbers` are all numbers behind the verdict: RunResult, HttpResult, IperfResult or ForwardResult.
    """

    numbers: R
    _judged: Judged[Any, Any]

    @property
    def verdict(self) -> Verdict:
        """The verdict; `verdict.exit_code` is the exit code of the command."""
        verdict: Verdict = self._judged.result.verdict
        return verdict

    @property
    def conforming(self) -> bool:
        """Whether the run is valid, and no rule or objective was missed; also True when nothing was required."""
        return self.verdict is Verdict.CONFORMING

    @property
    def valid(self) -> bool:
        """Whether the run says something about the servers: it ended, and the load generator was not the limit."""
        return self.verdict in (Verdict.CONFORMING, Verdict.NOT_CONFORMING)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences behind the verdict, most important first."""
        return tuple(self._judged.result.reasons)

    @property
    def plan(self) -> Any:
        """The plan as it was played: with the parts that depend on this machine, such as source addresses."""
        return self._judged.header.plan

    @property
    def record(self) -> Path:
        """The directory of the record."""
        return self._judged.path

    @property
    def document(self) -> dict[str, Any]:
        """The content of run.json (docs/json.md)."""
        return dict(self._judged.document)

    def report(self, form: str = "text") -> str:
        """Return what `loadgen show --format FORM` prints.  Raises LoadgenError when the run has nothing to print."""
        if form not in FORMATS:
            raise PlanError(f"{form!r} is not a format", hint=f"the formats are {', '.join(FORMATS)}")
        stream = io.StringIO()
        write(self._judged, form, stream)
        return stream.getvalue()

    def __repr__(self) -> str:
        why = f": {self.reasons[0]}" if self.reasons else ""
        return f"<{self.verdict.value}{why}; record {self.record}>"


@overload
def play(plan: SpecPlan, **how: Unpack[OnFleet]) -> Result[RunResult]: ...
@overload
def play(plan: HttpPlan, **how: Unpack[OnFleet]) -> Result[HttpResult]: ...
@overload
def play(plan: IperfPlan, **how: Unpack[How]) -> Result[IperfResult]: ...
@overload
def play(plan: ForwardPlan, **how: Unpack[How]) -> Result[ForwardResult]: ...
def play(plan: Any, **how: Any) -> Result[Any]:
    """Play a plan and return its result; the arguments are those of :func:`play_async`.

    Ctrl-C ends the run early: its record is written, then KeyboardInterrupt is raised.  Raises LoadgenError as
    :func:`play_async` does, and PlanError inside a running event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return uvloop.run(play_async(plan, **how))
    raise PlanError("play() was called inside a running event loop", hint="await play_async(plan) there")


@overload
async def play_async(plan: SpecPlan, **how: Unpack[OnFleet]) -> Result[RunResult]: ...
@overload
async def play_async(plan: HttpPlan, **how: Unpack[OnFleet]) -> Result[HttpResult]: ...
@overload
async def play_async(plan: IperfPlan, **how: Unpack[How]) -> Result[IperfResult]: ...
@overload
async def play_async(plan: ForwardPlan, **how: Unpack[How]) -> Result[ForwardResult]: ...
async def play_async(
    plan: Any,
    *,
    record: Path | str | None = None,
    fleet: FleetChoice | None = None,
    on_progress: OnProgress | None = None,
    on_message: OnMessage | None = None,
) -> Result[Any]:
    """Play a plan and return its result.

    `record` is the directory of the record, which must be empty or missing; by default, a new one in `./runs`.
    `fleet` are the load machines; by default, this machine.  `on_progress` is called about twice a second, and
    `on_message` with each line that the command would show.  Both are called in the event loop, and must return soon.

    When the task is cancelled, or a callback raises an exception, the traffic ends, the record is written, and then
    CancelledError or that exception is raised.  A second cancellation does not wait for that.

    Raises LoadgenError when the run cannot start: PlanError (a wrong plan), TargetError (no server answers), FleetError
    (no engine starts), RecordError (the record cannot be written).
    """
    if type(plan) not in _KINDS:
        raise PlanError(
            f"a plan must be one of {', '.join(kind.__name__ for kind in _KINDS)}, got {type(plan).__name__}"
        )
    plan, fleet = _ready(plan, fleet)
    _check_callbacks(on_progress=on_progress, on_message=on_message)
    session = Session(
        experiment=Once(_KINDS[type(plan)], plan),
        fleet=fleet,
        command_line=("coordinator.library.play",),
        out=None if record is None else Path(record),
    )
    ending = _Ending()
    say = ending.guarded(on_message)
    show = ending.guarded(on_progress)

    def around(kind: Kind[Any, Any, Any]) -> Around:
        return Around(cache=cache_directory(), say=say, progress=_unseen, view=_Shown(show))

    inside = Surroundings(around=around, during=ending.during, say=say)
    with record_directory(session) as directory, _collector_kept():
        try:
            judged, _ = await perform(session, directory, inside)
        except asyncio.CancelledError:
            ending.check()
            raise
    ending.check()
    return Result(judged.result, judged)


def read_record(path: Path | str) -> Result[Any]:
    """Return the result in a record; of a run that did not write its end, judged by what was measured.

    Raises LoadgenError when there is no record in the directory `path`, or when it has nothing to show.
    """
    judged = read_judged(Path(path), judges())
    return Result(judged.result, judged)


def _check_callbacks(**callbacks: Callable[[Any], object] | None) -> None:
    """Raise PlanError for what cannot be called, and for coroutines, which nobody would await."""
    for name, callback in callbacks.items():
        if callback is not None and (not callable(callback) or inspect.iscoroutinefunction(callback)):
            raise PlanError(f"{name} must be a function that is not async, got {callback!r}", hint="use def")


def _ready(plan: Any, fleet: FleetChoice | None) -> tuple[Any, FleetChoice | None]:
    """Return the plan and its load machines after the checks that the commands make.  Raises PlanError."""
    if not isinstance(plan, _ON_FLEET):
        if fleet is not None:
            raise PlanError(f"{type(plan).__name__} is played from this machine", hint="leave out fleet")
        return plan, None
    choice = fleet or FleetChoice()
    if isinstance(plan, SpecPlan):
        check_reach(plan, choice)
    else:
        for text in plan.slos:
            Slo.parse(text)
        plan = with_data(plan)
        check_credentials(plan)
    if choice.way is not WayKind.LOCAL:
        require_fleet("making load from other machines")
    return plan, choice


class _Ending:
    """Ends the run early when the caller's task is cancelled, or when a callback raises an exception."""

    def __init__(self) -> None:
        self._run: Run[Any, Any, Any] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False
        self._raised: BaseException | None = None

    def guarded(self, callback: Callable[[Any], object] | None) -> Callable[[Any], None]:
        """Return a function that calls `callback`.  An exception of the callback ends the run, and is kept."""

        def call(value: Any) -> None:
            if callback is None or self._raised is not None:
                return
            try:
                callback(value)
            except Exception as error:  # noqa: BLE001 - the exception of another's code, which is raised at the end
                self._raised = error
                self._end()

        return call

    async def during(self, run: Run[Any, Any, Any]) -> Judged[Any, Any]:
        """Play `run`.  Raises CancelledError when it ends before there is any traffic to judge."""
        task = asyncio.ensure_future(run.run())
        self._run, self._task = run, task
        while True:
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.done():
                    raise
                self._end(again=self._cancelled)
                self._cancelled = True

    def _end(self, *, again: bool = False) -> None:
        """Stop the traffic; without any traffic, or `again`, cancel the run."""
        if self._run is not None and self._task is not None and (again or not self._run.interrupt()):
            self._task.cancel()

    def check(self) -> None:
        """Raise what ended the run early, if anything did."""
        if self._raised is not None:
            raise self._raised
        if self._cancelled:
            raise asyncio.CancelledError


class _Shown:
    """A view (coordinator.output.terminal.live.View) that passes the progress to a function."""

    def __init__(self, show: OnProgress) -> None:
        self._show = show

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, view: RunView | HttpView | NetworkProgress) -> None:
        """Pass on `view`."""
        self._show(_progress_of(view))


def _progress_of(view: RunView | HttpView | NetworkProgress) -> Progress:
    if isinstance(view, NetworkProgress):
        return Progress(
            phase=view.label,
            elapsed_s=view.elapsed_s,
            total_s=view.total_s,
            per_s=None,
            mbit_per_s=_mbit_per_s(view.ticks[-1]) if view.ticks else None,
            errors=0,
            notices=view.notices,
        )
    position, total = (view.position, view.total) if isinstance(view, HttpView) else (view, view.totals)
    known = view.interval >= 0
    per_s = view.total.per_s if isinstance(view, HttpView) else view.totals.ops_per_s
    return Progress(
        phase=position.phase,
        elapsed_s=position.elapsed_s,
        total_s=position.total_s,
        per_s=per_s if known else None,
        mbit_per_s=total.mbit_per_s if known else None,
        errors=total.errors,
        notices=view.notices,
    )


def _mbit_per_s(tick: Tick) -> float | None:
    length_ns = tick.end_ns - tick.start_ns
    return (tick.sent_bytes + tick.received_bytes) * 8e-6 * NS_PER_S / length_ns if length_ns > 0 else None


@contextlib.contextmanager
def _collector_kept() -> Iterator[None]:
    """Restore Python's garbage collector, which a run sets for itself (coordinator.run.memory)."""
    threshold, frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        if not frozen:
            gc.unfreeze()


def _unseen(done: int, total: int) -> None:
    """Making a file set is told by a message, and needs no progress."""
