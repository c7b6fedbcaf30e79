"""Every threshold of a network run's verdict, as data, with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.model.probe import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRules:
    """The thresholds.  All are ours.

    * `max_neighbour_share`: of the cores' time, used by processes that have no part in the run; as for a web run
      (:class:`loadgen.verdict.rules.Rules`).
    * `min_sent_share`: of the rate asked of datagrams.  Below, the generator was the limit, and the loss that it
      reports is that of another load.  `late_datagrams` of each stream are forgiven.
    * `max_count_skew`, `block_bytes`, `skew_bytes`: a receiver may count a little more than the sender: what a write
      has handed over before it returns is not counted there yet (a block for each stream; ours are of 1 MiB).
      Where a warm-up was omitted, the ends do not begin to count at the same byte, either, and what is between
      them is in the sockets' buffers: `skew_bytes` for each stream, where their sizes are not known, are
      Linux' usual limits of both together (tcp_wmem 4 MiB, tcp_rmem 6 MiB).
    * `busy_core`: of one core: an end that uses it is at its limit.
    * `link_share`: of the direct path: a proxy that reaches it may be faster than what it was measured with.
    * `max_over_direct`: of the direct path, where the link limits it: nothing can be faster, so more means that the
      direct measurement was disturbed.  Only with one flow and windows from `full_window_bytes`: a smaller one is
      limited by the round trip, which a proxy cuts in two; many flows share a queue by chance.
    * `bound_ends`: when the direct path with a busy end is less than so many times the proxied one, the ends could
      not have shown a faster proxy.
    * `least_direct_mbit_per_s`: what a link carries between idle ends at full windows, by link.  Gigabit Ethernet
      has 941 Mbit/s of TCP payload at an MTU of 1500; the lab reaches 941 +- 2.
    * `max_nic_excess`, `nic_excess_bytes`: a NIC that counted so much more than the payload carries other traffic.
      Headers, acknowledgements and retransmissions are 3 to 6 %.
    """

    max_neighbour_share: float = 0.40
    min_sent_share: float = 0.95
    late_datagrams: int = 3
    max_count_skew: float = 0.01
    block_bytes: int = 1 << 20
    skew_bytes: int = 10 << 20
    busy_core: float = 0.95
    link_share: float = 0.95
    max_over_direct: float = 1.05
    full_window_bytes: int = 64 << 10
    bound_ends: float = 1.1
    least_direct_mbit_per_s: Mapping[Link, float] = field(default_factory=lambda: {Link.GIGE: 930.0})
    max_nic_excess: float = 0.25
    nic_excess_bytes: int = 1_000_000

    def is_full(self, window_bytes: int) -> bool:
        """Whether a window lets the link be the limit; the kernel's own choice does."""
        return window_bytes == 0 or window_bytes >= self.full_window_bytes


NETWORK_RULES = NetworkRules()
