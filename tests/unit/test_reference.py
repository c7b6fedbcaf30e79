"""The pages in docs/reference are those that the code makes, and nothing of the code is missing on them."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

import click
import pytest

from coordinator.cli.commands import COMMANDS
from coordinator.record.schema.generate import FILE, schema_of_documents, schema_text
from deploy.vms.catalog import DRIVERS
from loadgen.model.entry import Entry
from loadgen.model.outcome import Outcome
from loadgen.verdict.checks.catalog import FORWARD_CHECKS, IPERF_CHECKS, TAPE_CHECKS
from tools.reference import commands, outcomes, parts, plans
from tools.reference.pages import FOLDER, PAGES
from workloads.catalog import SPEC


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), "run: make reference (or python -m tools.reference)"


def test_the_schema_is_current() -> None:
    assert FILE.read_text("utf-8") == schema_text(), "run: make reference (or python -m coordinator.record.schema)"


def test_the_folder_holds_generated_pages_only() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(PAGES)


def test_every_command_and_option_is_on_the_page() -> None:
    text = commands.page()
    assert [name for name in COMMANDS if f"\n## loadgen {name}\n" not in text] == []
    for command, context in commands.all_commands():
        section = text.partition(f"\n## {context.command_path}\n")[2].partition("\n## ")[0]
        shown = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
        assert [name for one in shown for name in one.opts if not re.search(rf"[`, ]{name}[`, ]", section)] == []


def test_backquotes_of_a_help_stay_code() -> None:
    assert commands.escaped("a_b `c_d`  <e>") == "a\\_b `c_d` \\<e>"


@pytest.mark.parametrize("name", [name for name in schema_of_documents()["$defs"] if name.endswith("Plan")])
def test_every_field_of_a_plan_is_on_the_page(name: str) -> None:
    fields = schema_of_documents()["$defs"][name]["properties"]
    text = plans.page()
    assert [field for field in fields if f"\n| `{field}` | " not in text] == []


def test_every_trust_check_has_a_section() -> None:
    checks = [*TAPE_CHECKS, *IPERF_CHECKS, *FORWARD_CHECKS]
    text = PAGES["trust-checks.md"]()
    assert text.count("\n### ") == len(checks)
    assert "\n### \n" not in text


def test_every_outcome_has_a_meaning() -> None:
    text = outcomes.page()
    assert [one.name for one in Outcome if f"\n| {one.name} | {int(one)} | " not in text] == []


def test_a_member_without_a_comment_is_found() -> None:
    class Colour(enum.Enum):
        RED = 1

    with pytest.raises(ValueError, match="missing: RED"):
        outcomes.comments(Colour)


@pytest.mark.parametrize("entries", [DRIVERS, SPEC], ids=["VM drivers", "workloads"])
def test_every_entry_of_a_catalog_has_a_row(entries: Mapping[str, Entry]) -> None:
    text = parts.page()
    assert [name for name in entries if f"\n| `{name}` | " not in text] == []
