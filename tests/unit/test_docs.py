"""Statements of the documents are checked against the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from coordinator.output.catalog import FORMATS
from deploy.vms.catalog import DRIVERS
from loadgen.model.entry import Entry
from loadgen.model.outcome import Outcome

ROOT = Path(__file__).parents[2]


def test_the_map_in_the_design_lists_every_package_once() -> None:
    section = (ROOT / "DESIGN.md").read_text(encoding="utf-8").partition("\n## The house\n")[2]
    block = re.search(r"^```\w*\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert block, "DESIGN.md has no fenced block below '## The house'"
    rows = [re.split(r"\s{2,}", line.rstrip(), maxsplit=1) for line in block[1].splitlines() if line.strip()]
    assert [row for row in rows if len(row) != 2] == [], "a line without a word on what it is"
    packages = sorted(
        str(found.parent.relative_to(ROOT))
        for top in ("loadgen", "workloads", "deploy", "coordinator")
        for found in (ROOT / top).rglob("__init__.py")
    )
    assert sorted(path.rstrip("/") for path, _ in rows) == packages


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: outcome.name)
def test_every_outcome_is_explained(outcome: Outcome) -> None:
    """In the table of `docs/reading-results.md`, with the name that `run.json` uses."""
    text = (ROOT / "docs" / "reading-results.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| {outcome.name} \| \S", text, re.MULTILINE)


def names_of_checks() -> set[str]:
    code = [path.read_text(encoding="utf-8") for path in (ROOT / "loadgen" / "verdict").rglob("*.py")]
    return {name for text in code for name in re.findall(r'\bCheck(?:\.\w+)?\(\s*(?:name=)?"([^"]+)"', text)}


def test_every_check_is_explained() -> None:
    text = (ROOT / "docs" / "reading-results.md").read_text(encoding="utf-8")
    names = names_of_checks()
    assert len(names) > 12
    assert [name for name in sorted(names) if name not in text] == []


@pytest.mark.parametrize(
    ("page", "entries"), [("spec.md", DRIVERS), ("output.md", FORMATS)], ids=["VM drivers", "output formats"]
)
def test_every_entry_of_a_catalog_has_a_row_in_the_table_of_its_page(page: str, entries: Mapping[str, Entry]) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert [name for name in entries if not re.search(rf"^\|.*(`|--format ){name}`.*\|", text, re.MULTILINE)] == []


def committed() -> list[Path]:
    """Return the files of the repository, and files that git would add."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git repository: nothing is committed")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert len(found) > 100
    return [path for path in found if path.is_file()]


def test_references_to_the_design_exist() -> None:
    """A reference is a section of the map, a subject in its table of decisions, or the file of a decision."""
    design = (ROOT / "DESIGN.md").read_text(encoding="utf-8")
    code = [path.read_text(encoding="utf-8") for path in committed() if path.suffix in (".py", ".toml")]
    sections = {name for text in code for name in re.findall(r'DESIGN\.md, "(\w+)"', text)}
    decisions = {name for text in code for name in re.findall(r"docs/decisions/([\w-]+\.md)", text)}
    assert len(sections | decisions) >= 3
    assert [name for name in sorted(sections) if f"\n## {name}\n" not in design and f"\n| {name} |" not in design] == []
    assert [name for name in sorted(decisions) if not (ROOT / "docs" / "decisions" / name).is_file()] == []


# The patterns are concatenated here, so that this file does not contain them.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("conda", "anaconda", "org"),
        ("registry-1", "docker", "io"),
    )
]
HOMES = ["/" + name + "/" for name in ("work", "root")]


def test_no_file_names_a_package_registry_or_a_local_path() -> None:
    """Registries are configured in pip and apt; a path of one machine does not exist on others."""
    found = []
    for path in committed():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {host}" for host in REGISTRIES if host in text]
        found += [
            f"{path.relative_to(ROOT)}: {home}" for home in HOMES if re.search(rf"(?<![\w.}}/]){re.escape(home)}", text)
        ]
    assert found == []
