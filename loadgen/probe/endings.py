"""How a server ends a test: the error that one of its states announces."""

from __future__ import annotations

from loadgen.model.probe import ProbeTest
from loadgen.probe.api import ProbeError
from loadgen.probe.control import Control
from loadgen.probe.iperf3 import ServerFault, State, fault_text
from loadgen.probe.login import login_refused


def too_old_for_bidir() -> ProbeError:
    """The error when a server opens the streams of one direction only."""
    return ProbeError(
        "is an iperf3 older than 3.7, which cannot measure both directions at once",
        hint="measure them one after the other: --receive --send",
    )


async def ended_by(state: State, control: Control, test: ProbeTest) -> ProbeError | None:
    """The error that `state` announces; None if it is a state of a test that goes on.

    Raises ProbeError if the number of the error does not come.
    """
    match state:
        case State.ACCESS_DENIED:
            return ProbeError(
                "is busy with another test",
                hint="a stock iperf3 serves one at a time; `loadgen iperf --server` serves many",
            )
        case State.SERVER_ERROR:
            number, code = await control.error()
            if number == ServerFault.LOGIN:
                return login_refused(test)
            return ProbeError(f"cannot run the test: {fault_text(number, code)}")
        case State.SERVER_TERMINATE:
            return ProbeError("was stopped and broke the test off")
    return None
