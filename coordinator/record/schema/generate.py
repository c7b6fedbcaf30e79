"""Generates run.schema.json from the types of the documents, and finds the error in a document of a wrong type."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from coordinator.record.schema.common import ErrorDocument
from coordinator.record.schema.compare import HttpCompareDocument, SpecCompareDocument
from coordinator.record.schema.descriptions import describe
from coordinator.record.schema.find import HttpFindDocument, SpecFindDocument
from coordinator.record.schema.headroom import HttpHeadroomDocument, SpecHeadroomDocument
from coordinator.record.schema.http import HttpDocument
from coordinator.record.schema.isolate import IsolateDocument
from coordinator.record.schema.network import ForwardDocument, IperfDocument
from coordinator.record.schema.pack import PackDocument
from coordinator.record.schema.paper import PaperDocument
from coordinator.record.schema.relative import RelativeDocument, RoundDocument
from coordinator.record.schema.repeats import HttpRepeatsDocument, SpecRepeatsDocument
from coordinator.record.schema.spec import SpecDocument, SweepDocument

FILE: Final = Path(__file__).parents[1] / "run.schema.json"

AnyDocument = (
    SpecDocument
    | SweepDocument
    | SpecFindDocument
    | SpecRepeatsDocument
    | SpecCompareDocument
    | SpecHeadroomDocument
    | IperfDocument
    | ForwardDocument
    | HttpDocument
    | HttpFindDocument
    | HttpRepeatsDocument
    | HttpCompareDocument
    | HttpHeadroomDocument
    | PackDocument
    | IsolateDocument
    | RelativeDocument
    | RoundDocument
    | PaperDocument
    | ErrorDocument
)

_LEFT_OUT = ("default", "title", "properties", "$defs")

_HEAD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:loadgen:run:1",
    "title": "run.json of a loadgen record",
    "description": "The result of a SPECweb99-style run or sweep, of a throughput test, of a forwarding test, of an"
    " HTTP load test, of a packing, of an isolation run, of a search for a capacity, of repeated runs,"
    " of plans in turns, of a comparison of environments or of the paper's experiments."
    " A number that is not finite or not known is null.",
}


def schema_text() -> str:
    """The text of run.schema.json."""
    return json.dumps(schema_of_documents(), indent=2, ensure_ascii=False) + "\n"


def schema_of_documents() -> dict[str, Any]:
    """The JSON Schema of all documents, with the description of each field."""
    return {**_HEAD, **describe(undescribed_schema())}


def undescribed_schema() -> dict[str, Any]:
    """The schema with only the descriptions that the types carry.  An object may hold only what its type says."""
    schema: dict[str, Any] = _closed(msgspec.json.schema(AnyDocument))
    return schema


def why_damaged(document: Mapping[str, Any]) -> str:
    """One sentence on the first place where a document is not of its type; empty when there is none."""
    try:
        msgspec.convert(document, AnyDocument)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _closed(value: Any) -> Any:
    """The schema without titles (they repeat the names) and defaults (a document holds every value)."""
    if isinstance(value, list):
        # Null comes last: releases of msgspec differ in its place.
        return sorted((_closed(item) for item in value), key=lambda item: item == {"type": "null"})
    if not isinstance(value, dict):
        return value
    found = {name: _closed(item) for name, item in value.items() if name not in _LEFT_OUT}
    for name in ("properties", "$defs"):  # here the names are not those of JSON Schema
        if name in value:
            found[name] = {key: _closed(item) for key, item in value[name].items()}
    if "properties" in found:
        found["additionalProperties"] = False
    if "description" in found:
        found["description"] = inspect.cleandoc(value["description"])  # Python 3.13 does so, earlier ones do not
    return found
