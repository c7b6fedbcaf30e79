"""The descriptions of the fields of run.json, for fields whose types do not carry one.

A description has one of two places.  A field of a type in this package may carry it itself, as `Meta(description=...)`.
All others are in the tables `descriptions_*.py`: the fields of plans, whose types do not know of JSON, and fields of
which the name says nearly everything.  run.schema.json and docs/json.md are generated from both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from coordinator.record.schema.descriptions_isolate import ISOLATE
from coordinator.record.schema.descriptions_network import NETWORK
from coordinator.record.schema.descriptions_pack import PACK
from coordinator.record.schema.descriptions_paper import PAPER
from coordinator.record.schema.descriptions_plans import PLANS
from coordinator.record.schema.descriptions_relative import RELATIVE
from coordinator.record.schema.descriptions_repeats import REPEATS
from coordinator.record.schema.descriptions_results import ANY_DOCUMENT, RESULTS

DESCRIPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    **RESULTS,
    **NETWORK,
    **PACK,
    **ISOLATE,
    **REPEATS,
    **PLANS,
    **RELATIVE,
    **PAPER,
}
"""By type and field."""


def describe(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the descriptions of the tables, where a field has none of its own."""
    types = {}
    for name, one in schema["$defs"].items():
        if "properties" in one:
            one = {**one, "properties": {field: _described(name, field, of) for field, of in one["properties"].items()}}
        types[name] = one
    return {**schema, "$defs": types}


def fields_of(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(type, field, schema of the field) of each field in the document."""
    for name, one in schema["$defs"].items():
        for field, of in one.get("properties", {}).items():
            yield name, field, of


def missing(schema: Mapping[str, Any]) -> list[str]:
    """The fields without a description, as `Type.field`."""
    return [f"{name}.{field}" for name, field, of in fields_of(schema) if not of.get("description")]


def unused(undescribed: Mapping[str, Any]) -> list[str]:
    """The entries of the tables that describe no field, or one that carries its own description.

    `undescribed`: the schema before :func:`describe`.
    """
    needed = {(name, field) for name, field, of in fields_of(undescribed) if not of.get("description")}
    return [f"{name}.{field}" for name, of in DESCRIPTIONS.items() for field in of if (name, field) not in needed]


def _described(name: str, field: str, of: dict[str, Any]) -> dict[str, Any]:
    text = of.get("description") or DESCRIPTIONS.get(name, {}).get(field) or ANY_DOCUMENT.get(field)
    return {**of, "description": text} if text else of
