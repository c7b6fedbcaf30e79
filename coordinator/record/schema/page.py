"""Generates docs/json.md, the field tables of run.json, from its JSON Schema."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[3] / "docs" / "json.md"

_KINDS: Final = {
    "spec": "A run of `loadgen spec`",
    "spec-sweep": "A sweep of `loadgen spec` over numbers of VMs",
    "spec-find": "A search of `loadgen spec --find`",
    "spec-repeats": "Repeated runs of `loadgen spec --repeats`",
    "spec-compare": "Plans of `loadgen spec` in turns: `loadgen compare --interleave`",
    "spec-headroom": "A run of `loadgen spec --check-headroom`",
    "http": "A run of `loadgen http`",
    "http-find": "A search of `loadgen http --find`",
    "http-repeats": "Repeated runs of `loadgen http --repeats`",
    "http-headroom": "A run of `loadgen http --check-headroom`",
    "http-compare": "Plans of `loadgen http` in turns: `loadgen compare --interleave`",
    "iperf": "A run of `loadgen iperf`",
    "forward": "A run of `loadgen forward`",
    "error": "A command with `--json` that failed",
}
"""Heading by kind of document, in the order of the page."""

_UNITS: Final = {
    "_mbit_per_s": "10^6 bit/s",
    "mbit_per_s": "10^6 bit/s",
    "kbit_per_s": "10^3 bit/s",
    "_s_per_gb": "s per 10^9 bytes",
    "_ns_per_byte": "ns/byte",
    "per_s": "1/s",
    "_bps": "bit/s",
    "_bytes": "bytes",
    "_share": "0 to 1",
    "_ns": "ns",
    "_ms": "ms",
    "_s": "s",
}
"""Unit by the end of a field's name; the first one that fits counts."""

_IN_MS: Final = ("Times", "HttpTimes", "Span")
"""Types of which all numbers are in milliseconds; so are those of types whose names end in Ms."""

_HEAD: Final = """\
# The fields of run.json

`run.json` in a [record](plans.md#records) is what `loadgen show` prints as JSON:

```sh
loadgen show runs/2026-02-03T04-05-06-spec --json
```

This page lists every field. [The method](method.md) says how the numbers are measured, what is in them and what is not.

- `kind` says which of the documents below a record has.
- A number that is not known or not finite is null.
- *optional*: the field is left out when it does not apply, and in records of earlier versions.
- Names end in their units. Where the name has none, the column *unit* or the text says it.
- Programs can use [run.schema.json](../coordinator/record/run.schema.json), the JSON Schema with the same texts.

This page is generated (`make schema`). Do not edit it: the texts are in `coordinator/record/schema`.
"""


def page_text(schema: Mapping[str, Any]) -> str:
    """The text of docs/json.md.  `schema` has the documents and types of run.json with all descriptions."""
    types: Mapping[str, Any] = schema["$defs"]
    mapping: Mapping[str, str] = schema["discriminator"]["mapping"]
    documents = {kind: _name(mapping[kind]) for kind in sorted(mapping, key=_place)}
    reached = {kind: types_below(types, document) for kind, document in documents.items()}
    shared = {name for name in types if sum(name in names for names in reached.values()) > 1}
    parts = [_HEAD]
    for kind, document in documents.items():
        parts.append(f"## {_KINDS.get(kind, kind)}\n\n{_table(types, document)}")
        parts += [section_of(types, name) for name in reached[kind][1:] if name not in shared]
    parts.append("## Parts of several documents\n")
    in_order = dict.fromkeys(name for names in reached.values() for name in names)
    parts += [section_of(types, name) for name in in_order if name in shared]
    return "\n".join(parts)


def _place(kind: str) -> tuple[int, str]:
    known = list(_KINDS)
    return (known.index(kind) if kind in known else len(known)), kind


def types_below(types: Mapping[str, Any], document: str) -> list[str]:
    """The types with fields that a type consists of, itself first, nearest first."""
    found, left = [document], deque([document])
    while left:
        for name in _refs(types[left.popleft()]["properties"]):
            if name not in found and "properties" in types[name]:
                found.append(name)
                left.append(name)
    return found


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "$ref" in value:
            yield _name(value["$ref"])
        for item in value.values():
            yield from _refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _refs(item)


def section_of(types: Mapping[str, Any], name: str, title: str = "") -> str:
    """The section of a type: its name as a heading, or another `title`, what it is, and the table of its fields."""
    # The description is a docstring: it may name errors, and values of Python.
    about = re.sub(r" ?\bRaises [^.]*\.", "", _cell(types[name].get("description", ""))).replace("None", "null")
    return f"{title or f'### {name}'}\n\n" + (f"{about}\n\n" if about else "") + _table(types, name)


def _table(types: Mapping[str, Any], name: str) -> str:
    one = types[name]
    required = one.get("required", ())
    rows = ["| field | type | unit | meaning |", "| --- | --- | --- | --- |"]
    for field, of in one["properties"].items():
        text = _type(types, of) + ("" if field in required else ", *optional*")
        rows.append(f"| `{field}` | {text} | {_unit(name, field, text)} | {_cell(of.get('description', ''))} |")
    return "\n".join(rows) + "\n"


def _type(types: Mapping[str, Any], of: Mapping[str, Any]) -> str:
    if "$ref" in of:
        name = _name(of["$ref"])
        return _type(types, types[name]) if "properties" not in types[name] else f"[{name}](#{name.lower()})"
    if "anyOf" in of:
        return " or ".join(dict.fromkeys(_type(types, item) for item in of["anyOf"]))
    if "enum" in of:
        return _choice(of["enum"])
    if "const" in of:
        return _choice([of["const"]])
    kind = of.get("type", "anything")
    if kind == "array":
        return f"list of {_type(types, of.get('items', {}))}"
    if kind == "object":
        values = of.get("additionalProperties")
        if not isinstance(values, Mapping) or not values:
            return "map"
        value = _type(types, values)
        return f"map of text to {f'({value})' if ' or ' in value else value}"
    return {"string": "text"}.get(kind, str(kind))


def _choice(values: Iterable[Any]) -> str:
    return ", ".join("null" if value is None else f"`{value}`" for value in sorted(values, key=lambda one: one is None))


def _unit(name: str, field: str, text: str) -> str:
    if "number" not in text and "integer" not in text:
        return ""
    if name in _IN_MS or name.endswith("Ms"):
        return "ms"
    return next((unit for end, unit in _UNITS.items() if field.endswith(end)), "")


def _cell(text: str) -> str:
    """The text in one line of a table; words with underscores or in backquotes stay as they are."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]
