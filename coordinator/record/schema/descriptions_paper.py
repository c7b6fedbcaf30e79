"""Descriptions of fields in the documents of `loadgen paper`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PAPER: Final[Mapping[str, Mapping[str, str]]] = {
    "PaperPlan": {
        "profile": "How long the experiments take: quick or full.",
        "steps": "The experiments to play.",
        "vm_driver": "How the VMs of the experiments spec, capacity and pack are run.",
        "server": "Web server of all VMs.",
        "peer": "Host of a server of iperf3's protocol, for the experiment tcp; empty: a lab on this machine.",
        "peer_port": "Port of that server.",
        "environments": "Environments of the experiments that play a command; the others are compared with the first.",
        "engines": "Number of engine processes.",
        "seed": "Seed of workloads and of the order of trials.",
    },
}
