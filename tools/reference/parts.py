"""The page of what can be chosen by name: VM drivers, web servers, workloads, output formats; from their catalogs."""

from __future__ import annotations

from coordinator.output.catalog import FORMATS
from deploy.vms.catalog import BOOT, DRIVERS, GIVE_ADDRESSES, SET_LIMITS
from loadgen.model.plan import Server
from tools.reference.text import note, table
from workloads import catalog

_HEAD = f"""\
# Drivers, workloads and formats

What can be chosen by name. [How many VMs does a host carry](../spec.md) explains drivers and the first workload,
[the support workload](../support.md) the second one, and [output formats](../output.md) the formats.

```sh
loadgen spec --vms 4 --vm-driver local --server builtin --workload specweb99
loadgen show runs/2026-02-03T04-05-06-spec --format markdown
```

{note("the catalogs in `deploy/vms`, `workloads` and `coordinator/output`")}
"""


def page() -> str:
    """The text of the page."""
    return "\n".join(
        [
            _HEAD,
            "## VM drivers\n\n`--vm-driver` of `loadgen spec`, `loadgen pack` and `loadgen vms up`.\n",
            table(
                ("driver", "VMs", "limits of CPU, memory, tasks, disk", "an address for each VM", "VMs boot"),
                [
                    (f"`{name}`", entry.summary, *(_yes(name in those) for those in (SET_LIMITS, GIVE_ADDRESSES, BOOT)))
                    for name, entry in DRIVERS.items()
                ],
            ),
            f"## Web servers\n\n`--server`: {', '.join(f'`{one.value}`' for one in Server)}.\n",
            "## Workloads\n\n`--workload` of `loadgen spec`; the first is the default.\n",
            table(
                ("workload", "what is asked", "name of the results"),
                [(f"`{name}`", entry.summary, entry.style) for name, entry in catalog.SPEC.items()],
            ),
            "## Output formats\n\n`--format` of `loadgen show`.\n",
            table(("format", "content"), [(f"`{name}`", entry.summary) for name, entry in FORMATS.items()]),
        ]
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
