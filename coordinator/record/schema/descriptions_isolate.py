"""Descriptions of fields in the documents of `loadgen isolate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ISOLATE: Final[Mapping[str, Mapping[str, str]]] = {
    "IsolatePlan": {
        "hogs": "What the antisocial VMs do, one after the other; the idle case is always measured first.",
        "antisocial": "Number of antisocial VMs.",
        "measure_ns": "Measured time of each case.",
        "vm_driver": "How VMs are run; empty for the default.",
        "force": "Whether hogs that need no limit may run in a driver that confines nothing.",
        "vm_address": "Address of the VMs, or a network in which each has its own; empty for the driver's default.",
        "vm_limits": "Limits of each VM.",
        "game": "Game server in the quiet VM.",
        "server": "Web server of the VMs.",
        "connections": "Connections of the web load on the quiet VM; 0 for none.",
        "keep_memory_bytes": "Available memory below which a case is broken off.",
        "seed": "Seed of the web load.",
    },
    "IsolateRow": {
        "hog": "What the antisocial VMs did; none: nothing.",
        "game": "Latency of the game server.",
        "echo": "Latency of the UDP echo.",
        "web": "The load on the web server; its whole record is in the directory web-HOG.",
        "conforming_loss": "Share of the connections that conform in the idle case and do not conform here.",
        "held": "What the antisocial VMs did, and what held them.",
        "host": "The machine outside of the VMs.",
        "deaths": "Programs of the quiet VM that ended by themselves.",
        "failed": "Why the case was broken off; empty when it was not.",
        "end_s": "Time in which all VMs were ended.",
    },
    "Latency": {
        "sent": "Probes.",
        "lost": "Probes without a reply within 1 s.",
        "p50": "Median in ms. A lost probe took at least the time-out, without an upper bound.",
        "p95": "95th percentile in ms.",
        "p99": "99th percentile in ms.",
        "max": "Longest time in ms.",
        "below_1ms": "Share of all probes below 1 ms.",
        "bins": "Shares of all probes between the edges (edges_ms); lost ones are in the last bin.",
    },
    "Web": {
        "requested": "Connections.",
        "errors": "Operations that failed.",
        "conforming": "Connections that conform; null when the load cannot be trusted.",
        "ops_per_s": "Operations per second.",
        "p50_ms": "Median response time; a lower bound if operations failed.",
        "p99_ms": "99th percentile of response times; a lower bound if operations failed.",
        "invalid": "Why the load cannot be trusted; empty when it can.",
    },
    "Held": {
        "hogs": "Hogs that were started.",
        "running": "Hogs that ran until the end.",
        "did": "What all hogs did: forks, bytes (memory, disk, net), or milliseconds of CPU.",
        "cpu_ns": "CPU time of the antisocial VMs.",
        "memory_bytes": "Memory of the antisocial VMs at the end.",
        "pids": "Most processes and threads that one antisocial VM was seen to have.",
        "pids_refused": "Forks that the kernel refused because of the limits of the VMs.",
        "oom_kills": "Processes that the kernel ended at the memory limits of the VMs.",
        "ended": "Why the first hog ended that did not run until the end.",
    },
    "HostRow": {
        "spawn_p50_ms": "Median time to start and end a program.",
        "spawn_max_ms": "Longest time to start and end a program.",
        "free_bytes": "Least available memory.",
        "others_share": "Share of all cores that processes used that do not belong to the run.",
    },
}
