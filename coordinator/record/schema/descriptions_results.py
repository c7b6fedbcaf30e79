"""Descriptions of fields in the documents of `loadgen spec`, its sweeps and `loadgen http`, and of shared types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ANY_DOCUMENT: Final[Mapping[str, str]] = {
    "kind": "The kind of the document.",
    "schema_version": "The version of this format. New fields do not change it.",
    "started_at": "When the run began: date, time and time zone by the clock of the coordinator's machine.",
    "finished_at": "When the run ended; null while it has not.",
    "environment": "The machine, the software and the command of the run.",
    "notes": "Sentences that the reader of the numbers should know. They do not change the verdict.",
    "trust": "Whether the run's own measurements allow a verdict. In a spec run, each check as in its worst window.",
    "seed": "The seed of everything that is drawn at random, from the plan.",
    "fleet": "The load machines of the run.",
    "iterations": "The measured windows in order.",
}
"""By field: fields that have the same meaning in each type without an entry of its own."""

_PERCENTILES: Final = {
    "p50": "Median.",
    "p90": "90th percentile, by nearest rank in a histogram whose buckets are at most 1/1024 wide.",
    "p99": "99th percentile, in the same way.",
    "max": "Largest value; exact.",
}

RESULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "Check": {
        "name": "Name of the check. docs/method.md explains each one.",
        "value": "Measured value, in `unit`; null when it is not known or not finite.",
        "limit": "Limit of the value, in `unit`.",
        "ok": "Whether the check holds. A check with an unknown value holds.",
        "unit": "Unit of value and limit; empty for a number without a unit.",
        "detail": "What was compared, and which engine, VM, machine or test was worst.",
    },
    "CanaryRow": {
        "window": "Number of the measured window, from 0.",
        "engine": "Name of the engine.",
        "requests": "Requests that were answered and whose true time is known.",
        "failed": "Requests without a right reply.",
        "response_ms": "Response times as the engine saw them (due to done).",
        "truth_ms": "Times from arrival to reply as the responder saw them.",
        "added_ms": "The part of the responses in which the responder held no request.",
        "why": "Why nothing is known; empty when it is.",
    },
    "CanaryTimes": {"p50": "Median, in ms; null without requests.", "p99": "99th percentile, in ms."},
    "CanaryAdds": {"p50": "Median, in ms; null without requests.", "p99": "99th percentile, in ms."},
    "Estimate": {
        "value": "The percentile, in ms.",
        "low": "Lower end of its interval, from the spread of its rank.",
        "high": "Upper end of its interval.",
    },
    "Trust": {"checks": "The checks that apply to the run, in the order of the report."},
    "Environment": {
        "host": "Host name of the coordinator's machine.",
        "kernel": "Kernel release.",
        "architecture": "Machine architecture, such as x86_64.",
        "distribution": "Name of the Linux distribution.",
        "cpu": "Model of the processor.",
        "cores": "Number of cores of the machine.",
        "memory_bytes": "Size of the memory.",
        "sysctls": "Kernel settings that matter for network load, by name.",
        "python": "Version of Python.",
        "libraries": "Versions of the libraries, by name.",
        "loadgen": "Version of loadgen.",
        "command_line": "The words of the command.",
    },
    "DrivenTarget": {
        "name": "Name of the server in reports.",
        "host": "Host name or address.",
        "port": "TCP port.",
        "weight": "Its share of the connections, relative to the other servers.",
    },
    "LoadMachine": {
        "name": "Name of the machine.",
        "cores": "Number of cores on which engines may run.",
        "open_files": "Limit of open files of a process.",
        "memory_bytes": "Size of the memory.",
        "kernel": "Kernel release.",
        "python": "Version of Python.",
        "loadgen": "Version of loadgen.",
        "sysctls": "Kernel settings that matter for network load, by name.",
        "spool_free_bytes": "Free space in the file system of the spool, when the run began.",
    },
    "Placement": {"workers": "The engine processes, as MACHINE/NUMBER."},
    "Fleet": {
        "way": "How the coordinator reaches the machines; local: they are one, this machine.",
        "machines": "The machines that played.",
        "placement": "Which engine plays which connection.",
    },
    "EngineReady": {
        "worker": "The engine process, as MACHINE/NUMBER.",
        "engine": "python or compiled.",
        "timestamps": "What stamps the arrival of replies: the kernel, or the event loop of the engine.",
        "why": "Why the compiled engine is not used; empty if it is.",
        "addresses": "Connections of this engine by address, for targets whose names have several; at most 1,000.",
    },
    "AddressUse": {
        "target": "The name of the target.",
        "address": "An address of its name.",
        "connections": "Connections of the engine to this address; 0 when it did not accept one, or is not used.",
    },
    "TimesMs": _PERCENTILES,
    "TimeShares": {
        "service": "Sent to done, of operations that ended well.",
        "pacing": "Done until the line speed allows the next operation.",
        "lateness": "Due to sent, of all operations: the load generator's own time.",
        "rest": "The rests of connections after failures.",
        "failed": "Sent to done, of operations that failed.",
        "unfinished": "Sent to the end, of operations that were cut.",
        "absent": "No operation, in a closed or paced loop; 0 in an open loop.",
        "idle": "Free connections of an open loop; 0 in other loops.",
    },
    "OkAndBad": {
        "ok": "Operations that ended well.",
        "bad": "Operations that ended in an error; those that were cut are in neither.",
    },
    "ConnectionRates": {
        "min": "Rate of the slowest connection, in 10^3 bit/s.",
        "mean": "Mean over the connections, each with the same weight, in 10^3 bit/s.",
        "max": "Rate of the fastest connection, in 10^3 bit/s.",
    },
    "TargetPart": {
        "name": "Name of the VM.",
        "host": "Its host name or address.",
        "port": "Its TCP port.",
        "requested": "Connections that were requested to it.",
        "requests_ok": "Operations due in the window that ended well.",
        "ops_per_s": "requests_ok divided by the length of the window.",
        "response_ms": "Due to done.",
        "connection_kbit_per_s": "The rates of its connections: bits over time in operations.",
        "errors": "Operations due in the window that failed.",
    },
    "Iteration": {
        "index": "Number of the window, from 0.",
        "measured_s": "Length of the window; shorter than planned when an engine began late or the run was stopped.",
        "requested": "Connections that were requested, to all VMs.",
        "ops_per_s": "requests_ok divided by measured_s.",
        "kbit_per_s": "Sum of the VMs' kbit_per_s.",
        "requests_ok": "Operations due in the window that ended well.",
        "errors": "Operations due in the window that failed.",
        "by_kind": "Operations by class of the workload (size of the file).",
        "by_group": "Operations by type (static, dynamic GET, POST and others).",
        "response_ms": "Due to done.",
        "service_ms": "Sent to done.",
        "lateness_ms": "Due to sent, of all operations due in the window that were sent.",
        "targets": "The VMs in this window.",
    },
    "Point": {"vms": "Number of VMs of this point."},
    "Span": {"low": "Lower bound.", "high": "Upper bound; null when there is none."},
    "Times": {
        "mean": "Mean, from the middles of the histogram's buckets.",
        "p99_9": "99.9th percentile.",
        **_PERCENTILES,
    },
    "HttpSlo": {
        "name": "The metric: pN, mean, max, errors, shed or rate.",
        "value": "What was measured, in `unit`: of a time the upper end of its interval, or its lower end where it has "
        "no upper one.",
        "limit": "The limit that the objective names, in `unit`.",
        "ok": "Whether the objective holds.",
        "unit": "ms, % or /s.",
        "detail": "How many requests the value is about.",
    },
    "HttpPart": {
        "connections": "Connections to this target.",
        "ok": "Requests with a complete and expected reply.",
        "errors_by_outcome": "Failed requests by outcome; only what occurred.",
    },
    "HttpStage": {
        "ok": "Requests with a complete and expected reply.",
        "errors_by_outcome": "Failed requests by outcome; only what occurred.",
    },
    "RequestPart": {
        "name": "Method and URL, or one name for all when there are many.",
        "ok": "Requests of the window that ended well.",
        "bad": "Requests of the window that failed.",
    },
    "HttpDocument": {
        "total": "All targets together; null while the run has not ended.",
        "targets": "Each server that the URLs name.",
    },
}
