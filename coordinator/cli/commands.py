"""The commands of loadgen: the module of each command, and the first sentence of its help.

A new command is a module beside this one and an entry here.  A test compares the sentences with the commands' help.
"""

from __future__ import annotations

from loadgen.model.entry import Entry

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
    "pack": Entry(
        "coordinator.cli.pack:pack",
        "Measure how many VMs fit: start web servers until something stops it, then ask all of them at once.",
    ),
    "isolate": Entry(
        "coordinator.cli.isolate:isolate",
        "Measure what antisocial VMs do to a quiet one: latency of a game server, a UDP echo and a web server.",
    ),
    "relative": Entry(
        "coordinator.cli.relative:relative",
        "Compare environments: run a command many times in each, and say how good each is relative to the first.",
    ),
    "compare": Entry(
        "coordinator.cli.compare:compare",
        "Compare runs: is one group better or worse than the first one, and by how much?",
    ),
    "paper": Entry(
        "coordinator.cli.paper:paper",
        "Play the experiments of the paper on this machine, and show the paper's figures beside those of this machine.",
    ),
    "proxy": Entry(
        "coordinator.cli.proxy:proxy",
        "Forward TCP connections until Ctrl-C, and show live counters.",
    ),
    "resume": Entry(
        "coordinator.cli.resume:resume",
        "Continue several runs that were stopped: play those that are missing, on the same load machines.",
    ),
    "show": Entry(
        "coordinator.cli.show:show",
        "Print the result of a recorded run again.",
    ),
    "report": Entry(
        "coordinator.cli.report:report",
        "Draw recorded runs as one HTML file: verdict, evidence, plots and tables.",
    ),
    "web": Entry(
        "coordinator.cli.web:web",
        "Browse recorded runs in a web browser, until Ctrl-C: list, filter, open and compare them.",
    ),
    "plot": Entry(
        "coordinator.cli.plot:plot",
        "Draw a record as a figure for a paper, or write its numbers as a table.",
    ),
    "collect": Entry(
        "coordinator.cli.collect:collect_command",
        "Fetch the results that RUN left on its load machines, and add them to its record.",
    ),
    "fleet": Entry(
        "coordinator.cli.fleet:fleet",
        "Prepare load machines for a run.",
    ),
    "worker": Entry(
        "coordinator.cli.worker:worker",
        "Generate load for a coordinator on another machine, until the run is over or Ctrl-C.",
    ),
    "lab": Entry(
        "coordinator.cli.lab:lab",
        "Manage the networks that `loadgen forward` builds on this machine.",
    ),
    "serve": Entry(
        "coordinator.cli.serve:serve",
        "Make the file set, then run one web server of `loadgen spec` in the foreground until Ctrl-C.",
    ),
    "vms": Entry(
        "coordinator.cli.vms:vms",
        "Start, list and end VMs by hand, as `loadgen spec` starts them.",
    ),
    "fileset": Entry(
        "coordinator.cli.fileset:fileset",
        "Make the file set of `loadgen spec` that one VM needs for its connections (more connections, more files).",
    ),
    "doctor": Entry(
        "coordinator.cli.doctor:doctor",
        "Check the limits of this machine (files, ports, TCP settings, web servers) and print how to change them.",
    ),
    "completion": Entry(
        "coordinator.cli.completion:completion",
        "Print the completion script for a shell.",
    ),
}
