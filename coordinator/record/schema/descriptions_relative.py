"""Descriptions of fields in the documents of `loadgen relative`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RELATIVE: Final[Mapping[str, Mapping[str, str]]] = {
    "RelativePlan": {
        "environments": "The environments; the others are compared with the first one.",
        "command": "The words of the command; empty with a recipe.",
        "recipe": "Name of a ready benchmark; empty with a command.",
        "prepare": "Text for /bin/sh that is run before the command, and is not measured.",
        "metrics": "Numbers in the output that count; without any, the wall time does.",
        "trials": "Number of rounds, each with one trial in each environment.",
        "warmups": "Trials in each environment before the first round, which are not counted.",
        "vms": "Number of VMs that run the command at once in a trial.",
        "vm_limits": "Limits of the resources of each VM.",
        "duration_ns": "Duration of recipes that run for a time.",
        "timeout_ns": "Time limit of each command.",
        "seed": "Seed of the order of the environments in each round.",
        "round": "The only round of this plan; 0 for all.",
    },
    "Metric": {
        "pattern": "Regular expression; its group `value`, or its only group, is the number.",
        "better": "Whether the higher or the lower number is the better one.",
        "name": "Name of the number, where the pattern has no group `name`.",
        "unit": "Unit of the number; may be empty.",
    },
    "RelativeRow": {
        "metric": "Name of the number, or `wall time`.",
        "unit": "Unit of values, mean, median and sd.",
        "better": "Whether the higher or the lower number is the better one.",
        "environment": "Name of the environment.",
        "values": "One value for each trial, the mean over its VMs, in the order of the rounds.",
        "mean": "Mean of the values.",
        "median": "Median of the values.",
        "pairs": "Rounds that have this number here and in the first environment; 0 in the first one.",
        "difference": "What the interval says; not shown: it holds 1. unknown: there is no interval.",
        "sd": "Standard deviation of the values as a sample; null for one value.",
        "relative": "How many times as good as in the first environment: geometric mean of the ratios of the rounds; "
        "above 1 is better. Null when it cannot be said.",
        "relative_low": "Lower end of the 95 % confidence interval of `relative` (Student's t on logarithms); or null.",
        "relative_high": "Upper end of that interval; or null.",
        "vm_low": "Lowest mean of a VM; null with one VM.",
        "vm_high": "Highest mean of a VM; null with one VM.",
    },
    "Round": {
        "number": "Number of the round, from 1.",
        "record": "Directory of the round's own record, relative to that of the comparison.",
        "took_ns": "Time of the round, its VMs' starts and ends included.",
        "complete": "Whether the round has a trial in each environment.",
        "trials": "The trials in the order in which they ran.",
    },
    "Trial": {
        "environment": "Name of the environment.",
        "round": "Number of the round, from 1.",
        "position": "Place in the order of the round, from 1.",
        "copies": "The command in each VM.",
        "others_share": "Share (0..1) of the machine's CPU time that other processes used meanwhile; -1: not known.",
        "others_most": "The process that used the most of it.",
    },
    "Copy": {
        "vm": "Name of the VM.",
        "wall_ns": "Time from the start of the command to its end.",
        "cpu_ns": "CPU time of the command and of the descendants that it waited for; -1 when it is not known.",
        "numbers": "The numbers that the metrics found in the output.",
    },
    "Number": {
        "name": "Name of the number.",
        "value": "The number.",
        "unit": "Unit of the number; may be empty.",
        "better": "Whether the higher or the lower number is the better one.",
    },
}
