"""The verdicts of network runs, as the coordinator and the record import them."""

from __future__ import annotations

from loadgen.verdict.network_forward import judge_forward
from loadgen.verdict.network_iperf import judge_iperf
from loadgen.verdict.network_result import ForwardResult, IperfResult

__all__ = ["ForwardResult", "IperfResult", "judge_forward", "judge_iperf"]
