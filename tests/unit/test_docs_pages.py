"""The documents: loadgen accepts each command in them, and their links have targets."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from tests.support.commands import accept, lines_of, mention, mentions_of, options

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions")
FRONT = [ROOT / name for name in ("README.md", "DESIGN.md", "CONTRIBUTING.md")]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = [*FRONT, *PAGES, *DECISIONS, ROOT / "benchmarks" / "RESULTS.md"]
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
EACH_DOCUMENT = pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
# Comments contain commands, too; these are indented further than the text around them.
SCRIPTS = sorted(path for path in (ROOT / "deploy" / "operator").rglob("*") if path.is_file())
# Options of sbatch in the text
OTHERS = {"slurm": {"--exclusive", "--nodes"}}
WITHOUT_COMMANDS = {"index", "reading-results", "conforming", "glossary"}
LONGEST = {"README.md": 120, "DESIGN.md": 200}


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> list[str]:
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.fixture
def page_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create the files that the pages show, where the commands expect them."""
    shown = [block for page in PAGES for block in blocks(page, "toml")]
    assert len(shown) >= 2
    for block in shown:
        name = re.match(r"# (\w+\.toml)\n", block)
        assert name, "a file without its name"
        (tmp_path / name[1]).write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@EACH_DOCUMENT
@pytest.mark.usefixtures("page_files")
def test_loadgen_accepts_the_commands_of_a_page(page: Path) -> None:
    for block in blocks(page, "sh"):
        for words in lines_of(block):
            try:
                accept(words)
            except click.UsageError as error:
                pytest.fail(f"loadgen {' '.join(words)}: {error.format_message()}")


@EACH_DOCUMENT
def test_loadgen_knows_the_commands_in_running_text(page: Path) -> None:
    for words in mentions_of(prose(page)):
        try:
            mention(words)
        except click.UsageError as error:
            pytest.fail(f"loadgen {' '.join(words)}: {error.format_message()}")


@EACH_DOCUMENT
def test_make_has_the_targets_that_a_page_names(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = [line for block in blocks(page, "sh") for line in block.splitlines()]
    commands += re.findall(r"`([^`]+)`", prose(page))
    named = {found[1] for command in commands if (found := re.match(r"make ([\w-]+)", command))}
    assert sorted(named - targets) == []


@EACH_PAGE
def test_a_page_shows_commands(page: Path) -> None:
    assert page.stem in WITHOUT_COMMANDS or any(list(lines_of(block)) for block in blocks(page, "sh"))


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_a_shell_block_is_marked_as_one(page: Path) -> None:
    """Otherwise its commands would not be checked."""
    text = page.read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        assert language, block
        assert language in ("sh", "mermaid") or not re.search(r"^loadgen (?!\s)", block, re.MULTILINE), block


@pytest.mark.parametrize(
    "line",
    ["spec --vm 4", "show", "nothing", "fleet", "spec --vms four", "http http://192.0.2.7/ --slo p99", "lab --clean"],
)
def test_a_wrong_command_line_would_be_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        accept(line.split())


@pytest.mark.parametrize("line", ["nothing", "spec --vm", "fleet checks", "iperf --serve"])
def test_a_wrong_mention_would_be_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        mention(line.split())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_loadgen_accepts_the_commands_in_comments(script: Path) -> None:
    comments = "\n".join(re.findall(r"^#   +(.*)$", script.read_text(encoding="utf-8"), re.MULTILINE))
    for words in lines_of(comments):
        assert accept(words)


@EACH_PAGE
def test_options_in_the_text_are_options_of_loadgen(page: Path) -> None:
    known = {"--help", *options()} | OTHERS.get(page.stem, set())
    said = re.findall(r"`(--[a-z0-9-]+)[^`]*`", prose(page))
    assert [option for option in said if option not in known] == []


@EACH_DOCUMENT
def test_links_of_a_page_have_targets(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def test_every_page_is_in_the_table_of_contents_once() -> None:
    """Of `docs/index.md`: a list with one link at the start of each entry, from which the site makes its contents."""
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = [(ROOT / "docs" / path).resolve() for path in re.findall(r"^- \[[^\]]+\]\(([^)#]+)\)", text, re.MULTILINE)]
    pages = [ROOT / "benchmarks" / "RESULTS.md", *ROOT.glob("*.md"), *PAGES]
    assert sorted(listed) == sorted(page for page in pages if page.name != "index.md")


def test_every_decision_is_in_the_map() -> None:
    text = (ROOT / "DESIGN.md").read_text(encoding="utf-8")
    assert [page.name for page in DECISIONS if f"](docs/decisions/{page.name})" not in text] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.match(rf"# {page.name[:4]}\. \S.*\n\nDate: 20\d\d-\d\d-\d\d", text)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def paths_of_the_recipes() -> list[str]:
    """The files that the table of recipes names, except those that a contributor writes."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[.*$", text, re.MULTILINE)
    return sorted({path for row in rows for path in re.findall(r"`([\w/]+\.py)`", row) if "NAME" not in path})


@pytest.mark.parametrize("path", paths_of_the_recipes())
def test_files_of_the_recipes_exist(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert "/toy_" not in path or len(text.splitlines()) <= 40


def test_each_recipe_names_its_files() -> None:
    paths = paths_of_the_recipes()
    assert sum("/toy_" in path for path in paths) == 6
    assert sum("catalog.py" in path or "commands.py" in path for path in paths) >= 5


@pytest.mark.parametrize("name", LONGEST)
def test_the_front_pages_stay_short(name: str) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= LONGEST[name]


def test_hosts_and_targets_of_the_pages_can_be_read(page_files: None) -> None:
    """The commands only show that such files can be read where they are named."""
    from deploy.hosts.inventory import hosts
    from deploy.targets import load

    assert [host.name for host in hosts("hosts.toml")][:3] == ["c07", "c08", "rack1n01"]
    assert [target.name for target in load(Path("targets.toml"))] == ["guest-a", "guest-b"]
