"""The page of the plans: the fields of each type of plan, from the JSON Schema that describes them."""

from __future__ import annotations

from coordinator.record.schema.generate import schema_of_documents
from coordinator.record.schema.page import section_of, types_below
from tools.reference.text import note

_HEAD = f"""\
# Fields of a plan

[Plans and records](../plans.md) says how to save, change and repeat a plan. This page lists what a plan may hold. Every
command that runs a test prints its own plan:

```sh
loadgen spec --vms 4 --print-plan
```

{note("the types of the plans")}
"""

_TITLES = {
    "SpecPlan": "loadgen spec",
    "HttpPlan": "loadgen http",
    "IperfPlan": "loadgen iperf",
    "ForwardPlan": "loadgen forward",
    "PackPlan": "loadgen pack",
    "IsolatePlan": "loadgen isolate",
    "RelativePlan": "loadgen relative",
    "PaperPlan": "loadgen paper",
}
"""The command by the type of its plan, in the order of the page."""


def page() -> str:
    """The text of the page.  Raises ValueError for a plan of a command that is not in the list above."""
    types = schema_of_documents()["$defs"]
    unknown = [name for name in types if name.endswith("Plan") and name not in _TITLES]
    if unknown:
        raise ValueError(f"add to _TITLES in tools/reference/plans.py: {', '.join(unknown)}")
    parts = [_HEAD]
    shown: set[str] = set()
    for name, command in _TITLES.items():
        parts.append(section_of(types, name, title=f"## A plan of `{command}`"))
        for below in types_below(types, name)[1:]:
            if below not in shown:
                shown.add(below)
                parts.append(section_of(types, below))
    return "\n".join(parts)
