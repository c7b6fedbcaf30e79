"""The meaning of the columns of CSV outputs; docs/exports.md is generated from them."""

from __future__ import annotations

TARGETS = {
    "run": "Directory of the run, relative to the record of a sweep; empty for a single run.",
    "interval_start_s": "Start of the second, after the start of the run (or of the sweep).",
    "iteration": "Measured window, counted from 0; empty outside of the measured windows.",
    "target": "Name of the VM or server.",
    "ok_operations": "Operations that ended well in this second.",
    "failed_operations": "Operations that ended in an error.",
    "cut_operations": "Operations that were under way, or waited for a connection, when the traffic was stopped.",
    "sent_operations": "Operations whose request was sent: all but those without a TCP connection.",
    "received_bytes": "Bytes received, including those of failed operations. In a closed loop (`http`), of a request "
    "that "
    "was under way when the window opened, the part inside of the window.",
    "connects": "Connections that were opened.",
    "retries": "Operations with a request that was sent once more, because the server had closed the kept connection.",
}
DISTURBANCE = {
    "run": "Directory of the run, relative to the record of a sweep; empty for a single run.",
    "second": "Seconds after the start of the run.",
    "seconds": "Length: 1, or more on a machine with so many processes that a look at them each second would be too "
    "dear.",
    "iteration": "Measured window, counted from 0; empty outside of the measured windows.",
    "machine": "Load machine.",
    "engine": "One of its engines.",
    "cores": "The cores that the engine ran on.",
    "core_ms": "Time of these cores, all together, between the two samples.",
    "others_ms": "Of it, used by processes without a part in the run; empty when servers cannot be told from other "
    "processes.",
    "others_most": "The process of these that used the most.",
    "stolen_ms": "Taken by the hypervisor (steal).",
    "softirq_ms": "Time in software interrupts, most of them the run's own traffic.",
    "mhz": "Mean frequency of the cores.",
    "throttled_ms": "Time in which the CPU quota of the machine's control group stopped tasks; 0 without a quota.",
    "throttled_periods": "Periods of the quota in which it was used up.",
    "periods": "All periods of the quota.",
    "pressure_ms": "Time in which some task of the machine waited for a core (PSI).",
    "softnet_dropped": "Packets that the queue of a core had no room for.",
    "softnet_squeezed": "Rounds of packet processing that ended with packets left.",
    "tcp_retransmits": "TCP segments sent again, in the network namespace of the agent.",
    "listen_overflows": "Connections that found a full listen queue, in the same namespace.",
}
VMS = {
    "run": "Directory of the run, relative to the record of a sweep; empty for a single run.",
    "begin_s": "When the first reading was made, in seconds after the start of the run.",
    "end_s": "When the second reading was made.",
    "iteration": "Measured window, counted from 0, with at least half of this time; empty without one.",
    "vm": "The VM.",
    "ok_operations": "Operations that ended well in the nearest full seconds.",
    "failed_operations": "Operations that failed in them.",
    "received_bytes": "Bytes received in them.",
    "cpu_ms": "CPU time of its processes.",
    "waited_ms": "Time in which its threads could run but waited for a core, added up; a lower bound.",
    "periods": "Periods of its CPU quota; 0 without a quota.",
    "throttled_periods": "Of these, periods in which the quota was used up.",
    "throttled_ms": "Time for which the quota stopped it, added up over the cores.",
    "oom_kills": "Processes that the kernel killed because of the memory limit.",
    "pids_refused": "Forks that the limit of processes refused.",
    "listen_overflows": "Connections that found its listen queue full, in a network namespace of its own.",
    "listen_drops": "Connection attempts that its listening sockets dropped for any reason.",
    "segments_sent": "TCP segments that it sent, in a network namespace of its own.",
    "retransmits": "TCP segments that it sent again, in the same namespace.",
    "memory_bytes": "Memory of its cgroup with page cache, at the end of this time.",
    "pids": "Its processes and threads, at the end of this time.",
    "host_stolen_ms": "CPU time of all cores of this machine that its hypervisor took.",
    "host_cpu_ms": "CPU time of all cores of this machine, used or not.",
    "reading_ms": "CPU time that the second reading took, for all VMs.",
}
SECONDS = {
    "run": "Directory of the run, relative to the record; empty for a single run.",
    "kind": "Kind of the run: `spec` or `http`.",
    "verdict": "Verdict of the run; INVALID when the whole record is. Then the numbers are evidence, no results.",
    "vm": "Name of the VM or server.",
    "second": "Second of the run, counted from 0.",
    "start_s": "Start of the second, after the start of the whole record.",
    "iteration": "Measured window to which most operations of this second belong, over all VMs, counted from 0; empty "
    "when most belong to none.",
    "counted_s": "Time between the readings of the counters that follow; empty when none ended near the end of this "
    "second. The counters are those of this time.",
}
