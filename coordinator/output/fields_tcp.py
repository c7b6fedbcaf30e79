"""The meaning of the columns on TCP in CSV outputs; docs/exports.md is generated from them."""

from __future__ import annotations

NAMESPACE = {
    "tcp_segments_sent": "Segments sent, in the same namespace as all that follow; without those sent again.",
    "tcp_segments_received": "TCP segments received.",
    "tcp_syn_retransmits": "SYN segments sent again.",
    "tcp_timeouts": "Retransmission timeouts.",
    "tcp_loss_probes": "Tail loss probes sent.",
    "tcp_out_of_order": "Segments received out of order.",
    "tcp_received_twice": "Segments that had come before: the other end sent them again.",
    "tcp_receive_drops": "Segments dropped because a receive buffer was full.",
    "tcp_aborted_on_timeout": "Connections given up after retransmissions.",
    "listen_drops": "Connection attempts that listening sockets dropped, for any reason.",
}

TCP = {
    "run": "Directory of the run, relative to the record of a sweep; empty for a single run.",
    "interval_start_s": "Start of the second, after the start of the run (or of the sweep); empty for a whole window.",
    "iteration": "Measured window, counted from 0; empty outside of the measured windows.",
    "target": "Name of the VM or server.",
    "looks": "How often TCP connections were looked at.",
    "skipped": "TCP connections that nobody looked at when they ended, because very many ended soon.",
    "retransmits": "Segments that the client sent again.",
    "out_of_order": "Segments that the client received out of order.",
    "segments_sent": "All segments that the client sent.",
    "segments_received": "All segments that the client received.",
    "busy_ms": "Time in which data of the client was not acknowledged yet, added up over the connections.",
    "rwnd_limited_ms": "Of it, time in which the server's receive window was full.",
    "sndbuf_limited_ms": "Of it, time in which the client's send buffer was full.",
    "rtt_min_ms": "Lowest sample of the smoothed round-trip time.",
    "connections": "Connections of the load to the target; this and the columns that follow are of whole windows.",
    "lossy_connections": "Of these, connections with a retransmit or a segment out of order.",
    "non_conforming": "`spec`: connections that do not conform. Empty in a run that has no score.",
    "non_conforming_retransmits": "Of these, connections with a retransmit of the client.",
    "non_conforming_out_of_order": "Connections without one, but with segments out of order.",
    "non_conforming_waited": "Slow connections with neither: they only waited for the server.",
    "non_conforming_failed": "Connections with neither whose requests failed, or that had none.",
    "rtt_p50_ms": "Median of the samples.",
    "rtt_p99_ms": "99th percentile of the samples.",
}
