"""The files around the code: locked versions, commands that exist, and forms that a forge accepts."""

from __future__ import annotations

import importlib.metadata
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import loadgen
from tests.support.packages import tracked
from tools.dead_code import named_places

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYTHONS = [line.rpartition(" :: ")[2] for line in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)]
FORGE = ROOT / ".github"


# Versions


def requirements() -> list[Requirement]:
    """Return the requirements of pyproject.toml, with all extras except the project itself."""
    project = PROJECT["project"]
    texts = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    return [found for found in map(Requirement, texts) if found.name != project["name"]]


def locked() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def applies(requirement: Requirement, python: str) -> bool:
    environment = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": "x86_64"}
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("wanted", requirements(), ids=lambda wanted: str(wanted.name))
def test_the_lock_has_an_allowed_version(wanted: Requirement, python: str) -> None:
    if not applies(wanted, python):
        pytest.skip("not needed for this Python")
    found = [
        str(one.specifier).removeprefix("==")
        for one in locked()
        if canonicalize_name(one.name) == canonicalize_name(wanted.name) and applies(one, python)
    ]
    assert len(found) == 1, f"{wanted.name} is not in constraints.txt: run `make lock`"
    assert wanted.specifier.contains(found[0]), f"{found[0]} is not allowed: run `make lock`"


def test_the_lock_has_exact_versions_and_no_address() -> None:
    assert len(locked()) > 50
    assert [str(one) for one in locked() if one.url or not re.fullmatch(r"==[\w.]+", str(one.specifier))] == []
    assert "://" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("wanted", requirements(), ids=lambda wanted: str(wanted.name))
def test_every_dependency_has_an_upper_bound(wanted: Requirement) -> None:
    assert [one for one in wanted.specifier if one.operator == "<"], "a release with breaking changes would be taken"


def test_the_installed_version_is_that_of_the_project() -> None:
    assert loadgen.__version__ == importlib.metadata.version(PROJECT["project"]["name"])


def test_the_distribution_has_the_same_name_everywhere() -> None:
    """Several projects are called loadgen: `pip install loadgen` could install another one."""
    name = PROJECT["project"]["name"]
    found = {}
    for path in tracked():
        text = (ROOT / path).read_bytes().decode("utf-8", "replace")
        if wrong := re.findall(r"pip install ['\"]?(loadgen(?!-verdict)[\w\[]*)", text):
            found[str(path)] = wrong
    found.pop(str(Path(__file__).relative_to(ROOT)), None)
    assert name == "loadgen-verdict"
    assert found == {}


# Commands


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def test_make_help_lists_every_target() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+) +\S", said, re.MULTILINE)) == targets()
    phony = re.search(r"^\.PHONY: (.*?[^\\])$", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert phony
    assert set(phony[1].replace("\\", " ").split()) == targets()


def test_listed_system_tests_exist() -> None:
    found = re.search(r"^UNHURRIED := .*?test_,((?:.*\\\n)*.*)\)$", MAKEFILE, re.MULTILINE)
    assert found
    names = found[1].replace("\\", " ").split()
    assert len(names) > 10
    assert [name for name in names if not (ROOT / "tests" / "system" / f"test_{name}").exists()] == []


def test_the_commands_install_the_locked_versions() -> None:
    installs = re.findall(r"pip install.*", MAKEFILE)
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in line for line in installs)


def test_ci_runs_the_same_commands_as_a_person() -> None:
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == "exec make test"


def test_names_that_look_unused_have_a_reason_and_exist() -> None:
    used = {
        token.string
        for package in ("loadgen", "workloads", "deploy", "coordinator")
        for path in (ROOT / package).rglob("*.py")
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        if token.type == tokenize.NAME
    }
    lines = (ROOT / "tools" / "unused.py").read_text(encoding="utf-8").partition('"""\n\n')[2].splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    assert entries
    assert [line for line in entries if not re.fullmatch(r"_\.\w+  # \S.{10,}", line)] == []
    names = [line.partition("  #")[0].removeprefix("_.") for line in entries]
    assert [name for name in names if name not in used] == []


def test_an_entry_of_a_catalog_is_a_use_of_what_it_names(tmp_path: Path) -> None:
    """So that a new entry needs no exception in tools/unused.py."""
    (tmp_path / "catalog.py").write_text(
        'ENTRIES = {"mine": "deploy.vms.mine:Mine", "other": "a sentence: with words"}\n'
    )
    assert named_places([tmp_path]) == {"Mine"}
    named = named_places([ROOT / package for package in ("workloads", "deploy", "coordinator")])
    assert {"Local", "SpecKind", "write_csv", "doctor", "Http"} <= named
    assert "tools/dead_code.py" in MAKEFILE


# The forge


def steps() -> Iterator[dict[str, Any]]:
    for path in sorted((FORGE / "workflows").glob("*.yml")):
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            yield from job["steps"]


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("github-workflows", sorted((FORGE / "workflows").glob("*.yml"))),
        ("github-issue-config", [FORGE / "ISSUE_TEMPLATE" / "config.yml"]),
        ("github-issue-forms", sorted((FORGE / "ISSUE_TEMPLATE").glob("[!c]*.yml"))),
    ],
)
def test_the_forge_accepts_the_file(schema: str, paths: list[Path]) -> None:
    check = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [check, "--builtin-schema", f"vendor.{schema}", *paths], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_call_existing_targets_and_scripts() -> None:
    commands = [step["run"] for step in steps() if "run" in step]
    called = {name for command in commands for name in re.findall(r"\bmake ([a-z-]+)", command)}
    assert {"lint", "coverage", "wheel"} <= called <= targets()
    assert all((ROOT / ".ci" / "run").exists() for command in commands if ".ci/run" in command)


def test_workflows_test_every_supported_python() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted((FORGE / "workflows").glob("*.yml"))]
    matrices = [re.findall(r'"(3\.\d+)"', line) for text in texts for line in text.splitlines() if "python: [" in line]
    assert matrices == [PYTHONS, PYTHONS]


def test_commit_hooks_call_the_repositorys_own_tools() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        program, *words = hook["entry"].split()
        assert hook["language"] == "system"
        if program == "make":
            assert words[-1] in targets()
        else:
            assert program.startswith(".venv/bin/")
            assert (Path(sys.executable).parent / Path(program).name).exists()
