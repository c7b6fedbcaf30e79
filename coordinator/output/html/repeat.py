"""The end of a report: what would repeat the run, and where it ran."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w

from coordinator.output.html.blocks import Block, Folded, Listing, Table, Words
from coordinator.output.judged import Judged
from coordinator.record.catalog import KINDS

_MASKED = "Secrets are masked in records. Give them again, as the command line did."
_LONG = 200_000


def repeat_blocks(judged: Judged[Any, Any]) -> Iterator[Block]:
    """The command of the run, the one that replays its record, and its plan as a file."""
    kind, document = judged.header.kind, judged.document
    command = kind.partition("-")[0]
    words = [str(word) for word in document["environment"]["command_line"]]
    yield Listing("The command of this run", shlex.join(["loadgen", *words[1:]]))
    own_plan = kind == command or KINDS[kind].runs is None
    record = shlex.quote(str(judged.path))
    if own_plan and kind == command:
        yield Listing("The same plan again, from its record", f"loadgen {command} --replay {record}")
    elif KINDS[kind].runs is not None:
        yield Listing("Play what is missing of it, after a stop", f"loadgen resume {record}")
    yield Listing("This report again", f"loadgen report {record} -o report.html")
    text = tomli_w.dumps(_without_none(document["plan"]))
    if len(text) <= _LONG:
        how = f"Save it as plan.toml; play it with: loadgen {command} --plan plan.toml" if kind == command else ""
        masked = f" {_MASKED}" if "***" in text else ""
        yield Folded("The plan", [*([Words(how + masked)] if how + masked else []), Listing("plan.toml", text)])
    else:
        yield Words(f"The plan is too long for this page; it is in {judged.path}/run.json.")


def environment_blocks(judged: Judged[Any, Any]) -> Iterator[Block]:
    """The machine, the software, the settings of the kernel, and the servers."""
    about = judged.document["environment"]
    memory = about.get("memory_bytes") or 0
    one, five, fifteen = about["load_average"]
    rows = (
        ("host", str(about["host"])),
        ("CPU", f"{about['cpu'] or about['architecture']}, {about['cores_usable']} of {about['cores']} cores usable"),
        ("memory", f"{memory / (1 << 30):.1f} GiB" if memory else "-"),
        ("system", f"{about['distribution']}, Linux {about['kernel']}"),
        ("load before the run", f"{one:.2f}, {five:.2f}, {fifteen:.2f}"),
        ("loadgen", f"{about['loadgen']} {about['git_commit']}".strip()),
        ("Python", str(about["python"])),
        ("libraries", ", ".join(f"{name} {version}" for name, version in about["libraries"].items())),
        ("record", str(judged.path)),
    )
    yield Table("Load generator", (), rows)
    if server := tuple(_flat(about["server"])):
        yield Table("Servers", (), server)
    if settings := tuple((name, str(value)) for name, value in about["sysctls"].items()):
        yield Folded("Settings of the kernel", [Table("sysctl", ("name", "value"), settings)])


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, held in value.items():
        if isinstance(held, Mapping):
            yield from _flat(held, f"{before}{name} ")
        else:
            text = str(held)
            yield f"{before}{name}", text if len(text) <= 2000 else f"{text[:2000]} ... ({len(text):,} characters)"


def _without_none(value: Any) -> Any:
    """The plan without what is not set, which TOML has no word for."""
    if isinstance(value, Mapping):
        return {name: _without_none(held) for name, held in value.items() if held is not None}
    if isinstance(value, list | tuple):
        return [_without_none(held) for held in value if held is not None]
    return value
