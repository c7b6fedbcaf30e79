"""Every field of run.json is described, and docs/json.md has all of them."""

from __future__ import annotations

import copy
import re

import pytest

from coordinator.record.schema.descriptions import DESCRIPTIONS, fields_of, missing, unused
from coordinator.record.schema.generate import schema_of_documents, undescribed_schema
from coordinator.record.schema.page import PAGE, page_text

WHERE = (
    "write a description as Annotated[..., Meta(description=...)] at the field in coordinator/record/schema, "
    "or (plans, and types of other packages) in a table of coordinator/record/schema/descriptions_*.py; "
    "then run: make schema"
)


def test_every_field_has_a_description() -> None:
    assert missing(schema_of_documents()) == [], WHERE


def test_a_field_without_a_description_is_found() -> None:
    schema = copy.deepcopy(schema_of_documents())
    schema["$defs"]["Check"]["properties"]["colour"] = {"type": "string"}
    assert missing(schema) == ["Check.colour"]


def test_every_description_is_a_sentence() -> None:
    wrong = [f"{name}.{field}" for name, field, of in fields_of(schema_of_documents()) if of["description"][-1] != "."]
    assert wrong == []


def test_the_tables_describe_only_fields_that_need_it() -> None:
    assert unused(undescribed_schema()) == [], "the field is gone, or its type has a description of its own"
    assert sum(len(fields) for fields in DESCRIPTIONS.values()) > 200


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page_text(schema_of_documents()), "run: make schema"


@pytest.mark.parametrize("name", undescribed_schema()["$defs"])
def test_the_page_has_each_field_of_a_type(name: str) -> None:
    fields = undescribed_schema()["$defs"][name].get("properties", {})
    text = PAGE.read_text("utf-8")
    section = text.partition(f"\n### {name}\n")[2].partition("\n#")[0]
    if not section:  # a document has a section of its own, named by its kind
        sections = re.split(r"^## ", text, flags=re.MULTILINE)
        section = next((one for one in sections if _kind(name) and f"| `kind` | `{_kind(name)}`" in one), "")
    section = section.partition("\n#")[0]
    assert [field for field in fields if f"\n| `{field}` | " not in section] == []


def _kind(name: str) -> str:
    mapping = undescribed_schema()["discriminator"]["mapping"]
    return next((kind for kind, ref in mapping.items() if ref.endswith(f"/{name}")), "")


def test_units_follow_from_the_names() -> None:
    page = PAGE.read_text("utf-8")
    assert "| `measured_s` | number | s |" in page
    assert "| `per_s` | number | 1/s |" in page
    assert "| `timeout_ns` | integer, *optional* | ns |" in page
    assert "| `p50` | number or null | ms |" in page
