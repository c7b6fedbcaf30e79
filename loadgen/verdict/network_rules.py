"""Every threshold of a network run's verdict, as data, with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.model.probe import Link
from loadgen.model.units import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRules:
    """The thresholds of network runs.  This project chose all of them.

    * `max_neighbour_share`: share of the cores' time that processes without a part in the run may use; as for a web
      run (:class:`loadgen.verdict.rules.Rules`).
    * `min_sent_share`: share of the requested datagram rate that the sender must reach.  Below it, the sender was the
      limit, and the reported loss belongs to another load.  `late_datagrams` datagrams of each stream are forgiven.
    * `max_count_skew`, `block_bytes`, `skew_bytes`, `datagram_skew_ns`: how far the receiver's count may exceed the
      sender's.  The sender counts a block only when its write returns: one block per stream, 1 MiB by default (the
      largest datagram for UDP).  If a warm-up was omitted, the ends also begin to count at different bytes, up to the
      content of the socket buffers.  `skew_bytes` per stream stands for buffers of unknown size: the usual limits of
      Linux added up (tcp_wmem 4 MiB, tcp_rmem 6 MiB).  With UDP, they
      begin and end to count up to `datagram_skew_ns` apart.
    * `max_unanswered_share`: share of the transactions that may fail, and share of the connections' time that may pass
      without an answer until the end of a test; as for the errors of a web run.
    * `max_dropped_share`: share of the datagrams that may find this end's socket buffer full; the reported loss is too
      high by as much.
    * `max_quiet_ns`: time at the end of a TCP test in which nothing may arrive.  Longer than the pauses of a lossy
      path: the kernel repeats a lost segment after 0.2 s, and again after 0.4 s.
    * `busy_core`: share of one core from which an end is at its CPU limit.
    * `link_share`: share of the direct rate from which the link, not the proxy, is the limit.
    * `max_over_direct`: highest proxied rate as a share of the direct rate, on a link with a rate limit.  A higher
      share means that the direct measurement was disturbed.  Applies to one flow and windows from `full_window_bytes`:
      smaller windows are limited by the round trip, which a proxy splits in two, and chance decides how several flows
      share a queue.
    * `bound_ends`: if the direct rate with a busy end is less than `bound_ends` times the proxied rate, the ends could
      not have shown a faster proxy.
    * `least_direct_mbit_per_s`: by link, the rate that idle ends reach with full windows.  Gigabit Ethernet carries
      941 Mbit/s of TCP payload at an MTU of 1500; the lab reaches 941 +- 2.
    * `max_nic_excess`, `nic_excess_bytes`: a NIC that counts more than the payload by this share and these bytes
      carries other traffic.  Headers, acknowledgements and retransmissions add 3 to 6 %.
    """

    max_neighbour_share: float = 0.40
    min_sent_share: float = 0.95
    late_datagrams: int = 3
    max_count_skew: float = 0.01
    block_bytes: int = 1 << 20
    skew_bytes: int = 10 << 20
    datagram_skew_ns: int = 50_000_000
    max_unanswered_share: float = 0.01
    max_dropped_share: float = 0.001
    max_quiet_ns: int = NS_PER_S
    busy_core: float = 0.95
    link_share: float = 0.95
    max_over_direct: float = 1.05
    full_window_bytes: int = 64 << 10
    bound_ends: float = 1.1
    least_direct_mbit_per_s: Mapping[Link, float] = field(default_factory=lambda: {Link.GIGE: 930.0})
    max_nic_excess: float = 0.25
    nic_excess_bytes: int = 1_000_000

    def is_full(self, window_bytes: int) -> bool:
        """Whether the window is large enough to fill the link; 0 (the kernel's choice) is."""
        return window_bytes == 0 or window_bytes >= self.full_window_bytes


NETWORK_RULES = NetworkRules()
