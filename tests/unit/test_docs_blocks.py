"""Every block of code in a document is read as what it says it is.

Commands of loadgen in shell blocks are parsed in test_docs_pages.py; those of docs/library.md and of the page on other
tools are run.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import click
import jsonschema
import pytest
import yaml

from coordinator.cli.http_files import read_requests
from coordinator.cli.plan_files import read_plans
from coordinator.record.schema.generate import schema_of_documents
from deploy.hosts import inventory
from deploy.targets import load as load_targets
from tests.support.commands import accept, lines_of

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "RESULTS.md"])
FENCE = re.compile(r"^( *)```(.*)$")


class Block(NamedTuple):
    """A fenced block: its place, its kind, and its text without the indent of its fence."""

    place: str
    kind: str
    text: str


def blocks_of(text: str, name: str) -> Iterator[Block]:
    """All blocks of a document, also those inside a list.  Raises ValueError when one is not closed."""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        opened = FENCE.match(line)
        if not opened:
            continue
        inside = []
        for _, inner in lines:
            if inner.strip() == "```":
                break
            inside.append(inner)
        else:
            raise ValueError(f"{name}:{number}: the block is not closed")
        yield Block(f"{name}:{number}", opened[2].strip(), textwrap.dedent("\n".join(inside)) + "\n")


BLOCKS = [
    block for page in DOCUMENTS for block in blocks_of(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))
]


def check_shell(text: str, directory: Path) -> None:
    bash = shutil.which("bash")
    assert bash, "bash is missing"
    done = subprocess.run([bash, "-n"], input=text, capture_output=True, text=True, cwd=directory, check=False)
    assert done.returncode == 0, done.stderr


def check_python(text: str, directory: Path) -> None:
    compile(text, str(directory), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def check_toml(text: str, directory: Path) -> None:
    """The first line names the file, and the name says what reads it."""
    found = re.match(r"# ([\w-]+)\.toml\n", text)
    assert found, "the first line must be a comment with the name of the file"
    file = directory / f"{found[1]}.toml"
    file.write_text(text, encoding="utf-8")
    assert found[1] in READERS, f"add the reader of {file.name} to READERS"
    assert READERS[found[1]](file)


def check_json(text: str, _directory: Path) -> None:
    document = json.loads(text)
    if "kind" in document:
        jsonschema.validate(document, schema_of_documents())


def check_yaml(text: str, _directory: Path) -> None:
    """The commands of a CI job are commands, too."""
    for document in yaml.safe_load_all(text):
        for run in _runs(document):
            for words in lines_of(run):
                accept(words)


def _runs(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key == "run" and isinstance(one, str):
                yield one
            yield from _runs(one)
    elif isinstance(value, list):
        for one in value:
            yield from _runs(one)


def check_text(text: str, _directory: Path) -> None:
    """Output; a command in it would be parsed by nobody."""
    commands = re.findall(r"^(?:\$ )?loadgen (?!\s).*$", text, re.MULTILINE)
    assert commands == [], "write commands into a block of their own, of the kind sh"


def check_diagram(text: str, _directory: Path) -> None:
    assert re.match(r"(flowchart|sequenceDiagram|stateDiagram)", text)
    assert len(re.findall(r"^ *subgraph\b", text, re.MULTILINE)) == len(re.findall(r"^ *end$", text, re.MULTILINE))


READERS: Mapping[str, Callable[[Path], object]] = {
    "targets": load_targets,
    "hosts": inventory.load,
    "shop": read_requests,
    "plan": lambda file: read_plans((file,)),
}

KINDS: Mapping[str, Callable[[str, Path], None]] = {
    "sh": check_shell,
    "python": check_python,
    "toml": check_toml,
    "json": check_json,
    "yaml": check_yaml,
    "text": check_text,
    "mermaid": check_diagram,
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_is_what_it_says(block: Block, tmp_path: Path) -> None:
    assert block.kind in KINDS, f"{block.place}: no test reads blocks of the kind {block.kind!r}; add one to KINDS"
    try:
        KINDS[block.kind](block.text, tmp_path)
    except click.UsageError as error:
        pytest.fail(f"{block.place}: {error.format_message()}")


def test_the_documents_have_blocks_of_every_kind() -> None:
    assert {block.kind for block in BLOCKS} == set(KINDS)
    assert len(BLOCKS) > 150


def test_blocks_in_lists_are_found() -> None:
    text = "1. First:\n\n   ```python\n   x = 1\n   ```\n\n```sh\nls\n```\n"
    assert list(blocks_of(text, "a.md")) == [Block("a.md:3", "python", "x = 1\n"), Block("a.md:7", "sh", "ls\n")]
    with pytest.raises(ValueError, match="not closed"):
        list(blocks_of("```sh\nls\n", "a.md"))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("sh", "if true; then\n"),
        ("python", "def f(:\n"),
        ("toml", "vms = 4\n"),
        ("toml", "# plan.toml\nvms = 'four'\n"),
        ("toml", "# targets.toml\n[[target]]\nname = 'a'\n"),
        ("json", "{'a': 1}"),
        ("json", '{"kind": "error", "message": "?"}'),
        ("yaml", "a: [1\n"),
        ("yaml", "steps:\n  - run: loadgen spec --vm 4\n"),
        ("text", "output\nloadgen spec --vms 4\n"),
        ("mermaid", "flowchart LR\n  subgraph C\n"),
    ],
)
def test_a_wrong_block_would_be_found(kind: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  (each kind has its own errors, and any of them fails the test)
        KINDS[kind](text, tmp_path)
