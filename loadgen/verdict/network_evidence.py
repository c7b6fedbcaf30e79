"""Evidence about the measurements of a network run: the input of every check in `loadgen.verdict.checks.network`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import IperfPlan
from loadgen.verdict.network_result import ForwardRow, NicProof
from loadgen.verdict.network_rules import NETWORK_RULES, NetworkRules


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEvidence:
    """The common evidence of `iperf` and `forward` runs.

    `results`: every test that was measured.  `others`: the share (0..1) of this machine's cores that processes without
    a part in the run used, and the process that used the most; (0.0, "") when that is not known.
    """

    results: Sequence[ProbeResult]
    others: tuple[float, str]
    rules: NetworkRules = NETWORK_RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class IperfEvidence(NetworkEvidence):
    """Evidence of a `loadgen iperf` run: also the plan that it followed."""

    plan: IperfPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardEvidence(NetworkEvidence):
    """Evidence of a `loadgen forward` run.

    `rows`: of the tables; `missed`: those below the required rate.  `proofs`: one for each test that must cross two
    NICs.
    """

    rows: Sequence[ForwardRow]
    missed: Sequence[ForwardRow]
    proofs: Sequence[NicProof]
