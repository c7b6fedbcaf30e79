"""Descriptions of fields in the documents of `loadgen pack`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PACK: Final[Mapping[str, Mapping[str, str]]] = {
    "PackPlan": {
        "count": "Number of VMs to start; 0 for as many as fit.",
        "vm_driver": "How VMs are run; empty for the default.",
        "server": "Web server of the VMs.",
        "connections": "Connections that each server can serve at once.",
        "vm_address": "Address at which VMs listen, or a network in which each has its own.",
        "base_port": "Port of the first VM; 0 for any free ports.",
        "reserve_memory_bytes": "Memory that is guaranteed to each VM, by admission; 0 for overbooking.",
        "reserve_disk_bytes": "Disk space that is guaranteed to each VM, by admission; 0 for overbooking.",
        "keep_memory_bytes": "Available memory that is never given to VMs.",
        "keep_disk_bytes": "Free disk space that is never given to VMs.",
        "vm_limits": "Limits of the resources of each VM; left out without limits.",
        "answer_ns": "Time in which every VM must answer the final sweep.",
    },
    "Sweep": {
        "asked": "VMs that were asked.",
        "answered": "VMs that answered with status 200 in time.",
        "at_once": "Connections that were open together, before the first request was sent.",
        "took_ns": "Time from the first request to the last reply.",
        "slowest_ns": "Longest time from a request to the end of its reply.",
        "silent": "VMs that did not answer.",
    },
    "Silence": {
        "vm": "Name of the VM.",
        "why": "Why it did not answer.",
        "ours": "Whether loadgen itself could not ask it.",
    },
}
