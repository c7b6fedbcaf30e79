"""All trust checks, in the order in which reports show them.

To add a check, write one file with one function and add that function here.  A check that does not apply to a run
returns None for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from loadgen.verdict.checks.network.datagrams_dropped import datagrams_dropped
from loadgen.verdict.checks.network.datagrams_sent import datagrams_sent
from loadgen.verdict.checks.network.limiting_end import limiting_end
from loadgen.verdict.checks.network.link_rate import link_rate
from loadgen.verdict.checks.network.nic_path import nic_path
from loadgen.verdict.checks.network.other_processes import other_processes as network_other_processes
from loadgen.verdict.checks.network.own_end import own_end
from loadgen.verdict.checks.network.proxied_over_direct import proxied_over_direct
from loadgen.verdict.checks.network.received_beyond_sent import received_beyond_sent
from loadgen.verdict.checks.network.traffic import traffic
from loadgen.verdict.checks.tape.canary import canary
from loadgen.verdict.checks.tape.client_share import client_share
from loadgen.verdict.checks.tape.closed_waits import closed_waits
from loadgen.verdict.checks.tape.cpu_quota import cpu_quota
from loadgen.verdict.checks.tape.emulated_vms import emulated_vms
from loadgen.verdict.checks.tape.engine_cpu import engine_cpu
from loadgen.verdict.checks.tape.engine_still import engine_still
from loadgen.verdict.checks.tape.ephemeral_ports import ephemeral_ports
from loadgen.verdict.checks.tape.late_share import late_share
from loadgen.verdict.checks.tape.local_limits import local_limits
from loadgen.verdict.checks.tape.mix_issued import mix_issued
from loadgen.verdict.checks.tape.open_files import open_files
from loadgen.verdict.checks.tape.open_lateness import open_lateness
from loadgen.verdict.checks.tape.operations_issued import operations_issued
from loadgen.verdict.checks.tape.other_processes import other_processes
from loadgen.verdict.checks.tape.rate_lost import rate_lost
from loadgen.verdict.checks.tape.send_lateness import send_lateness
from loadgen.verdict.checks.tape.start_skew import start_skew
from loadgen.verdict.checks.tape.time_accounted import time_accounted
from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.network_evidence import ForwardEvidence, IperfEvidence
from loadgen.verdict.result import Check, Trust

Found: TypeAlias = Check | Sequence[Check] | None
"""The result of a check function: one check, several, or None when it does not apply to the run."""

_E = TypeVar("_E")

TAPE_CHECKS: tuple[Callable[[TrustEvidence], Found], ...] = (
    operations_issued,
    send_lateness,
    late_share,
    rate_lost,
    engine_cpu,
    engine_still,
    open_lateness,
    client_share,
    closed_waits,
    canary,
    time_accounted,
    mix_issued,
    local_limits,
    other_processes,
    cpu_quota,
    ephemeral_ports,
    start_skew,
    open_files,
    emulated_vms,
)
"""Checks of `loadgen spec` and `loadgen http`."""

IPERF_CHECKS: tuple[Callable[[IperfEvidence], Found], ...] = (
    network_other_processes,
    traffic,
    datagrams_sent,
    datagrams_dropped,
    received_beyond_sent,
    own_end,
)
"""Checks of `loadgen iperf`."""

FORWARD_CHECKS: tuple[Callable[[ForwardEvidence], Found], ...] = (
    network_other_processes,
    traffic,
    nic_path,
    link_rate,
    proxied_over_direct,
    limiting_end,
)
"""Checks of `loadgen forward`."""


def run_checks(evidence: _E, checks: Iterable[Callable[[_E], Found]]) -> Trust:
    """The results of all `checks` that apply to `evidence`, in their order."""
    results: list[Check] = []
    for check in checks:
        found = check(evidence)
        if isinstance(found, Check):
            results.append(found)
        elif found is not None:
            results.extend(found)
    return Trust(checks=tuple(results))
