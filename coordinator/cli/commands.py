"""The commands of loadgen: where each is defined, and the first sentence of its help.

A new command is a module beside this one and an entry here.  A test compares the sentences with the commands' help.
"""

from __future__ import annotations

from coordinator.cli.lazy import Entry

COMMANDS = {
    "spec": Entry(
        "coordinator.cli.spec:spec",
        "Measure how many connections conform: SPECweb99-style load on many web servers at once.",
    ),
    "http": Entry(
        "coordinator.cli.http:http",
        "Measure how fast servers answer: load on any URLs, in a closed or an open loop.",
    ),
    "iperf": Entry(
        "coordinator.cli.iperf:iperf",
        "Measure how fast TCP or UDP receives and sends, by window.",
    ),
    "forward": Entry(
        "coordinator.cli.forward:forward",
        "Measure how fast a proxy forwards from one NIC to another.",
    ),
    "proxy": Entry(
        "coordinator.cli.proxy:proxy",
        "Forward TCP connections until Ctrl-C, and show live counters.",
    ),
    "show": Entry(
        "coordinator.cli.show:show",
        "Print the result of a recorded run again; of one that was cut, what was measured up to then.",
    ),
    "collect": Entry(
        "coordinator.cli.collect:collect_command",
        "Fetch what the load machines of RUN still have of it, and put it into the record.",
    ),
    "fleet": Entry(
        "coordinator.cli.fleet:fleet",
        "Make ready a fleet of load machines.",
    ),
    "worker": Entry(
        "coordinator.cli.worker:worker",
        "Be a load machine of a coordinator elsewhere, until its run is over or Ctrl-C.",
    ),
    "lab": Entry(
        "coordinator.cli.lab:lab",
        "Look after the networks that `loadgen forward` builds on this machine.",
    ),
    "serve": Entry(
        "coordinator.cli.serve:serve",
        "Run one SPECweb99-style web server in the foreground until Ctrl-C, with its file set made first.",
    ),
    "fileset": Entry(
        "coordinator.cli.fileset:fileset",
        "Make the SPECweb99-style file set for so many connections (its size grows with them).",
    ),
    "doctor": Entry(
        "coordinator.cli.doctor:doctor",
        "Check this machine's limits (files, ports, TCP settings, servers found) and say what to change.",
    ),
    "completion": Entry(
        "coordinator.cli.completion:completion",
        "Print the completion script for a shell.",
    ),
}
