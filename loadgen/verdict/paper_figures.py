"""The figures of the paper that loadgen grew from, with their places in it, and what differs here.

An early draft (about 2005) of the PlanetLab group.  It compares Xen 2.0.7 (paravirtualized: guests with their own
kernels), Linux-VServer (one kernel, namespaces and limits) and Linux 2.6.12 of Fedora Core 4.  A figure is a text,
because the paper gives some only in words; it is "" where the paper has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.model.paper import Experiment
from loadgen.model.units import format_window

HARDWARE = "a Xeon of 3.06 GHz with one core, 4 GB of memory, Gigabit Ethernet by Intel, one ATA disk (2005)"

NOT_COMPARABLE = (
    f"hardware: the paper had {HARDWARE}",
    "VMs: those of the drivers ns and oci share one kernel, as VServer's did; nothing here stands for Xen",
    "load: the paper made it on other machines, loadgen makes it on this one, so it takes part of the same cores",
    "software: kernel, web server, compiler and benchmarks are twenty years newer",
)
"""What holds for all figures: why they cannot be scores of this machine against those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What the paper says of one number, for each system."""

    linux: str = ""
    vserver: str = ""
    xen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One experiment of the paper.

    `source` is its place in the paper.  `method` is how the paper measured it, `differs` what is different here.
    `printed` are its figures by the key of ours (coordinator.experiment.paper_ours).
    """

    source: str
    title: str
    method: str
    differs: str
    printed: Mapping[str, Printed] = field(default_factory=dict)


_TABLE_3 = {
    16 << 10: ((524, 593), (348, 425)),
    32 << 10: ((888, 938), (678, 815)),
    64 << 10: ((941, 941), (787, 867)),
    128 << 10: ((941, 941), (888, 915)),
    256 << 10: ((941, 941), (902, 929)),
}
"""By window: (receive, send) in Mbit/s of Linux, which VServer equals, and of Xen."""


def _table_3() -> dict[str, Printed]:
    """The rows by window, as receive/send, and the rows by direction."""
    found = {}
    for window_bytes, (linux, xen) in _TABLE_3.items():
        window = format_window(window_bytes)
        both, of_xen = (f"{receive}/{send}" for receive, send in (linux, xen))
        found[window] = Printed(linux=both, vserver=both, xen=of_xen)
        for at, direction in enumerate(("receive", "send")):
            found[f"{direction} {window}"] = Printed(linux=str(linux[at]), vserver=str(linux[at]), xen=str(xen[at]))
    return found


_FIGURE_4 = {
    "1 VM": Printed(vserver="above Xen", xen="about 550"),
    "4 VMs": Printed(vserver="above Xen", xen="bar only"),
    "16 VMs": Printed(vserver="above Xen", xen="bar only"),
    "fair 16": Printed(vserver="fair share"),
}
_SLOWER = Printed(linux="1", xen="1.4-3")
_FIGURE_3 = {"relative ns": Printed(linux="1", xen="about 1")}

PARTS: Mapping[Experiment, Part] = {
    Experiment.SPEC: Part(
        source="Figure 4",
        title="SPECweb99-style load on 1, 4 and 16 web servers at once",
        method="SPEC WEB99 against an Apache in each VM; the greatest number of conforming clients",
        differs="not SPECweb99 itself, so never its score; --quick asks for 20 connections per VM and does not search "
        "for the greatest number",
        printed=_FIGURE_4,
    ),
    Experiment.SPEC_OCI: Part(
        source="Figure 4",
        title="The same in containers of Docker or podman",
        method="the paper has no containers; VServer's VMs are the nearest",
        differs="containers in place of VMs, in the network of this machine; for the rest, what differs for spec",
        printed=_FIGURE_4,
    ),
    Experiment.CAPACITY: Part(
        source="Figure 4",
        title="The greatest number of conforming connections to one VM",
        method="SPEC WEB99 against an Apache in one VM",
        differs="not SPECweb99 itself, so never its score; each run of the search has one iteration",
        printed={"capacity": _FIGURE_4["1 VM"]},
    ),
    Experiment.TCP: Part(
        source="Table 3",
        title="TCP throughput by window, Mbit/s",
        method="iperf over an unloaded Gigabit LAN; median of four runs of 10 s; receive/send",
        differs="without --peer, the LAN is a lab on this machine: namespaces and links shaped to Gigabit Ethernet, "
        "through a router. Both ends are this machine, so receive and send are one number",
        printed=_table_3(),
    ),
    Experiment.FORWARD: Part(
        source="text on forwarding",
        title="Forwarding between two NICs, Mbit/s",
        method="a simple TCP proxy (read, write) on a machine with two Gigabit NICs",
        differs="the NICs are virtual ones of a lab on this machine, shaped to Gigabit Ethernet; splice copies nothing "
        "to user space, which the paper's proxy did",
        printed={"copy 64K": Printed(linux="941", vserver="941"), "copy 128K": Printed(xen="417")},
    ),
    Experiment.PACK: Part(
        source="text on phone-booth packing",
        title="How many VMs fit at once, each with a web server",
        method="stock Apache 2.0.46 in each VM, until something stops it",
        differs="--quick asks for few VMs and does not look for the end; a VM of the driver ns has no installation of "
        "its own on disk, a Fedora Core 2 of the paper had 150 MB, of which copy-on-write left 12 MB",
        printed={
            "packed": Printed(vserver="1,024 (goes on)", xen="80"),
            "memory": Printed(xen="48 each"),
            "disk": Printed(vserver="12"),
        },
    ),
    Experiment.ISOLATE: Part(
        source="text on isolation",
        title="Latency of a game server among nine antisocial VMs",
        method="a Quake III server probed from another machine of the LAN; nine CPU hogs, also fork bombs and dd",
        differs="the probes come from this machine; the game server is openarena where it is installed, else one of "
        "loadgen that only answers",
        printed={
            "cpu p50": Printed(vserver="< 1", xen="1-15"),
            "cpu below": Printed(vserver="mostly"),
            "disk p50": Printed(vserver="not isolated"),
        },
    ),
    Experiment.DBENCH: Part(
        source="Figure 3",
        title="dbench, relative to Linux",
        method="mean of 10 trials with standard deviation, against stock Linux",
        differs="ns and Linux have the same kernel here",
        printed=_FIGURE_3,
    ),
    Experiment.COMPILE: Part(
        source="Figure 3",
        title="A compile, relative to Linux",
        method="a kernel compile; mean of 10 trials with standard deviation, against stock Linux",
        differs="generated C files, no kernel; osdb, FourInARow and Freebench cannot be had",
        printed=_FIGURE_3,
    ),
    Experiment.MICRO: Part(
        source="Tables 1 and 2",
        title="Micro-benchmarks: how many times as slow as Linux",
        method="lmbench, the rows in which the systems differ",
        differs="a program of loadgen with lmbench's rows, not lmbench; the paper's 1.4-3 is the range of these rows",
        printed={
            "fork and exit": _SLOWER,
            "fork and exec": _SLOWER,
            "mmap of 8 MB": _SLOWER,
            "page fault": _SLOWER,
            "switch 2p/0K": _SLOWER,
            "switch 16p/64K": _SLOWER,
        },
    ),
    Experiment.POSTGRESQL: Part(
        source="planned in the text",
        title="Several PostgreSQL at once, one in each VM",
        method="planned by the paper, because IPC names are virtualized, and not finished",
        differs="the paper has no figures",
    ),
}
"""By experiment."""
