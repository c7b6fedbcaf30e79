"""The pages in docs: every command in them is one that loadgen takes, and what they point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.commands import accept, lines_of, options

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
# Comments there hold commands, too, further in than the text around them.
SCRIPTS = sorted(path for path in (ROOT / "deploy" / "operator").rglob("*") if path.is_file())


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def beside_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the pages show are where the commands look for them."""
    shown = [block for page in PAGES for block in blocks(page, "toml")]
    assert len(shown) >= 2
    for block in shown:
        name = re.match(r"# (\w+\.toml)\n", block)
        assert name, "a file without its name"
        (tmp_path / name[1]).write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@EACH_PAGE
@pytest.mark.usefixtures("beside_its_files")
def test_loadgen_takes_the_commands_of_a_page(page: Path) -> None:
    found = [words for block in blocks(page, "sh") for words in lines_of(block)]
    assert [accept(words) for words in found], "no command was found in it"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_loadgen_takes_the_commands_in_comments(script: Path) -> None:
    comments = "\n".join(re.findall(r"^#   +(.*)$", script.read_text(encoding="utf-8"), re.MULTILINE))
    for words in lines_of(comments):
        assert accept(words)


@EACH_PAGE
def test_options_in_the_text_are_options_of_loadgen(page: Path) -> None:
    known = set(options())
    said = re.findall(r"`(--[a-z-]+)[^`]*`", prose(page))
    # Those of sbatch.
    others = {"--exclusive", "--nodes"} if page.stem == "slurm" else set()
    assert [option for option in said if option not in known | others] == []


@EACH_PAGE
def test_what_a_page_points_at_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert links
    for link in links:
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", prose(target), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in anchors, link


def test_every_page_is_reached_from_the_first() -> None:
    first = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "fleet.md" and f"]({page.name})" not in first] == []


def test_the_hosts_and_targets_of_the_pages_are_read_as_such(beside_its_files: None) -> None:
    """The commands only show that these files can be read where they name them."""
    from deploy.hosts.inventory import hosts
    from deploy.inventory import load

    assert [host.name for host in hosts("hosts.toml")] == ["c07", "c08"]
    assert [target.name for target in load(Path("targets.toml"))] == ["guest-a", "guest-b"]
