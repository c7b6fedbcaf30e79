"""The verdict of a network run: what the coordinator and the record call."""

from __future__ import annotations

from loadgen.verdict.network_forward import judge_forward
from loadgen.verdict.network_iperf import judge_iperf
from loadgen.verdict.network_result import ForwardResult, IperfResult

__all__ = ["ForwardResult", "IperfResult", "judge_forward", "judge_iperf"]
