"""The counters of a VM in run.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from loadgen.verdict.vm_counters import Held, VmCounters


def write_counters(found: VmCounters) -> dict[str, Any]:
    """The field `counters` of a VM."""
    held = [
        {"what": one.what, "value": one.value, "at_least": one.at_least, "phrase": one.phrase, "spans": one.spans}
        for one in found.held
    ]
    return {**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)}, "held": held}


def read_counters(data: Mapping[str, Any]) -> VmCounters:
    """The inverse of :func:`write_counters`.  KeyError, TypeError or ValueError if the field is malformed."""
    held = tuple(
        Held(
            what=one["what"],
            value=one["value"],
            at_least=one["at_least"],
            spans=tuple((first, last) for first, last in one["spans"]),
        )
        for one in data["held"]
    )
    return VmCounters(**{**data, "held": held, "at_least": tuple(data["at_least"])})
