"""The choice of the engine, and the messages when a demand of the load cannot be met."""

from __future__ import annotations

import sys

import pytest

from coordinator.run.here import check_engine
from loadgen.engine import choice
from loadgen.engine.api import Assignment, EngineKind, Load, Timestamps
from loadgen.engine.choice import available, choose, describe
from loadgen.model.bound import Bound
from loadgen.model.errors import FleetError, PlanError
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from tests.support.engines import needs_compiled
from tests.support.tapes import Op, make_tape


def assignment(
    engine: EngineKind = EngineKind.AUTO,
    timestamps: Timestamps = Timestamps.AUTO,
    *,
    tls: bool = False,
    paced_reads: bool = False,
) -> Assignment:
    return Assignment(
        worker="w",
        shard=Shard((0,)),
        targets=(Target(name="t", host="127.0.0.1", port=9, tls=tls),),
        shares=(1,),
        tape=make_tape([Op()], 1),
        load=Load(
            line_bps=400_000 if paced_reads else 0,
            bound=Bound.rate(320_000),
            timeout_ns=NS_PER_S,
            paced_reads=paced_reads,
            engine=engine,
            timestamps=timestamps,
        ),
    )


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled engine cannot be imported, as if it had not been built."""
    monkeypatch.setitem(sys.modules, "loadgen.engine.compiled._core", None)


@pytest.fixture
def no_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel provides no time-stamps: another socket option is set instead of the one that enables them."""
    monkeypatch.setattr(choice, "_SO_TIMESTAMPNS", 9)  # SO_KEEPALIVE
    monkeypatch.setattr(choice, "_PROBE_S", 0.02)


@needs_compiled
def test_auto_chooses_the_compiled_engine_and_kernel_stamps() -> None:
    chosen = choose(assignment())
    assert (chosen.kind, chosen.timestamps, chosen.why) == (EngineKind.COMPILED, Timestamps.KERNEL, "")
    assert available() == (EngineKind.COMPILED, EngineKind.PYTHON)
    assert describe() == "the compiled engine"


@needs_compiled
def test_an_explicit_choice_is_respected() -> None:
    assert choose(assignment(EngineKind.PYTHON)).kind is EngineKind.PYTHON
    assert choose(assignment(EngineKind.PYTHON)).timestamps is Timestamps.LOOP
    assert choose(assignment(timestamps=Timestamps.LOOP)).timestamps is Timestamps.LOOP
    assert choose(assignment(EngineKind.COMPILED, Timestamps.KERNEL)).timestamps is Timestamps.KERNEL


@needs_compiled
def test_only_the_python_engine_supports_tls() -> None:
    chosen = choose(assignment(tls=True))
    assert (chosen.kind, chosen.timestamps) == (EngineKind.PYTHON, Timestamps.LOOP)
    assert "TLS" in chosen.why
    with pytest.raises(FleetError, match="only the Python engine supports TLS"):
        choose(assignment(EngineKind.COMPILED, tls=True))


@needs_compiled
@pytest.mark.usefixtures("no_stamps")
def test_without_kernel_stamps_those_of_the_loop_are_used_unless_demanded_otherwise() -> None:
    assert choose(assignment()).timestamps is Timestamps.LOOP
    with pytest.raises(FleetError, match="time-stamps cannot be used: the kernel provides none"):
        choose(assignment(timestamps=Timestamps.KERNEL))


@needs_compiled
def test_kernel_stamps_are_not_used_with_paced_reads() -> None:
    assert choose(assignment(paced_reads=True)).timestamps is Timestamps.LOOP
    with pytest.raises(FleetError, match="paced reads"):
        choose(assignment(timestamps=Timestamps.KERNEL, paced_reads=True))


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_the_python_engine_is_used_and_the_reason_is_given() -> None:
    chosen = choose(assignment())
    assert (chosen.kind, chosen.timestamps) == (EngineKind.PYTHON, Timestamps.LOOP)
    assert "no C compiler" in chosen.why
    assert available() == (EngineKind.PYTHON,)
    assert "no C compiler" in describe()
    with pytest.raises(FleetError, match="the compiled engine cannot play this") as refused:
        choose(assignment(EngineKind.COMPILED))
    assert "--engine python" in refused.value.hint
    with pytest.raises(FleetError, match="kernel's time-stamps"):
        choose(assignment(timestamps=Timestamps.KERNEL))


@pytest.mark.parametrize("engine", EngineKind)
def test_the_requested_engine_survives_serialization(engine: EngineKind) -> None:
    wire = assignment(engine).to_wire()
    assert wire["load"]["engine"] == engine.value
    assert Assignment.from_wire(wire).load.engine is engine


@pytest.mark.usefixtures("no_compiler")
def test_on_this_machine_a_demand_is_refused_before_anything_starts() -> None:
    check_engine(assignment().load, tls=False)
    with pytest.raises(PlanError, match="no C compiler") as refused:
        check_engine(assignment(EngineKind.COMPILED).load, tls=False)
    assert refused.value.exit_code == 2
