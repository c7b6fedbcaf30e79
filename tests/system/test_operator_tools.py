"""The files for operators, checked by the tools that read them.  No service is started and nothing is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import fake_slurm
from tests.support.commands import accept
from tests.support.vms import within

OPERATOR = Path(__file__).parents[2] / "deploy" / "operator"
UNIT = OPERATOR / "systemd" / "loadgen-worker@.service"
SBATCH = OPERATOR / "slurm" / "loadgen.sbatch"
DOCKERFILE = OPERATOR / "docker" / "Dockerfile"


def tool(name: str, how: str) -> pytest.MarkDecorator:
    """The mark of a test that needs a program: skipped without it, but required in CI."""
    absent = shutil.which(name) is None and os.environ.get("CI") != "true"
    return pytest.mark.skipif(absent, reason=f"{name} is not installed ({how})")


needs_systemd = tool("systemd-analyze", "make debian installs it")
needs_shellcheck = tool("shellcheck", "make debian installs it")
needs_ip = tool("ip", "make debian installs it")


def told(*command: str | Path, **more: Any) -> tuple[int, str]:
    """Run a command; returns its exit code and its output, stdout before stderr."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL, **more
    )
    return done.returncode, done.stdout + done.stderr


# systemd


def unit(place: Path, text: str) -> Path:
    """Write the unit with the path of a program that exists, because systemd checks that."""
    program = place / "bin" / "loadgen"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    path = place / UNIT.name
    path.write_text(text.replace("/opt/loadgen/bin/", f"{program.parent}/"), encoding="utf-8")
    return path


@needs_systemd
def test_systemd_accepts_the_unit_without_a_message(tmp_path: Path) -> None:
    path = unit(tmp_path, UNIT.read_text(encoding="utf-8"))
    assert told("systemd-analyze", "verify", "--man=no", path) == (0, "")


@needs_systemd
def test_a_message_of_systemd_would_be_noticed(tmp_path: Path) -> None:
    path = unit(tmp_path, UNIT.read_text(encoding="utf-8").replace("RestartSec=", "RestartSecs="))
    assert "RestartSecs" in told("systemd-analyze", "verify", "--man=no", path)[1]


@needs_systemd
@pytest.mark.parametrize(
    ("without", "code"), [("", 0), ("CapabilityBoundingSet=|SystemCallFilter=.*|DynamicUser=yes", 1)]
)
def test_systemd_confirms_that_the_worker_has_few_rights(tmp_path: Path, without: str, code: int) -> None:
    """The exposure that systemd computes, from 0 to 100."""
    text = UNIT.read_text(encoding="utf-8")
    path = unit(tmp_path, re.sub(rf"^({without})$", "", text, flags=re.MULTILINE) if without else text)
    got, said = told("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=25", path)
    assert got == code, said


def test_the_command_of_the_unit() -> None:
    """The variables in the command are those that systemd sets for the unit."""
    text = UNIT.read_text(encoding="utf-8").replace("\\\n", " ")
    [line] = re.findall(r"^ExecStart=/opt/loadgen/bin/loadgen (.*)$", text, re.MULTILINE)
    variables = {"COORDINATOR": "192.0.2.1:8786", "CREDENTIALS_DIRECTORY": "/c", "STATE_DIRECTORY": "/s"}
    words = [re.sub(r"\$\{(\w+)\}", lambda found: variables[found[1]], word) for word in line.split()]
    assert accept([word.replace("%i", "rack1") for word in words]) == "worker"
    assert words[words.index("--cert") + 1] == "/c/" + re.findall(r"^LoadCredential=([^:]+):", text, re.MULTILINE)[0]
    assert "\nStateDirectory=" in text


# The image


HADOLINT = Path(sys.executable).parent / "hadolint"


@pytest.mark.skipif(not HADOLINT.exists() and os.environ.get("CI") != "true", reason="hadolint is not installed")
def test_hadolint_accepts_the_dockerfile_without_a_message() -> None:
    assert told(HADOLINT, "--no-color", DOCKERFILE) == (0, "")


# Slurm


@needs_shellcheck
def test_shellcheck_accepts_the_batch_script_without_a_message() -> None:
    assert told("shellcheck", SBATCH) == (0, "")


@dataclass(frozen=True)
class Job:
    """A finished batch job: its exit code, the output of sbatch and of the job, and the calls of loadgen in it."""

    code: int
    said: str
    output: str
    calls: list[dict[str, Any]]

    def call(self, command: str) -> dict[str, Any]:
        [found] = [call for call in self.calls if call["argv"][0] == command]
        return found

    @property
    def workers(self) -> list[dict[str, Any]]:
        return sorted((call for call in self.calls if call["argv"][0] == "worker"), key=lambda call: str(call["node"]))


@pytest.fixture
def cluster(tmp_path: Path) -> Mapping[str, str]:
    """Return the environment in which `sbatch` is the fake program of the tests."""
    programs, calls = tmp_path / "programs", tmp_path / "calls"
    programs.mkdir()
    calls.mkdir()
    fake_slurm.install(programs)
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "FAKE_CALLS": str(calls), "FAKE_RUN": "play"}


def submitted(cluster: Mapping[str, str], *words: str | Path) -> subprocess.Popen[str]:
    place = Path(cluster["FAKE_CALLS"]).parent
    return subprocess.Popen(
        ["sbatch", *words],
        cwd=place,
        env=cluster,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(cluster: Mapping[str, str], process: subprocess.Popen[str]) -> Job:
    calls = Path(cluster["FAKE_CALLS"])
    with process:
        said, _ = process.communicate(timeout=90)
    output = calls.parent / "loadgen-4711.out"
    return Job(
        code=process.returncode,
        said=said,
        output=output.read_text(encoding="utf-8") if output.exists() else "",
        calls=[json.loads(path.read_text(encoding="utf-8")) for path in calls.glob("*.json")],
    )


def values(call: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of a call, each with its value."""
    argv = call["argv"]
    return {word: argv[at + 1] for at, word in enumerate(argv) if word.startswith("--")}


@needs_ip
def test_a_batch_job_uses_all_nodes_except_its_first(cluster: Mapping[str, str]) -> None:
    job = ended(cluster, submitted(cluster, SBATCH, "t.toml", "--connections", "50"))
    assert (job.code, job.said, job.output) == (0, "", "")
    assert [call["node"] for call in job.workers] == ["node2", "node3", "node4", "node5"]
    assert [call["certificate"] for call in job.workers] == [f"worker-{n}" for n in range(4)]
    run, certificates = job.call("spec"), job.call("fleet")
    assert run["node"] == certificates["node"] == "node1"
    assert values(run)["--workers"] == values(certificates)["--workers"] == "4"
    assert {values(call)["--join"] for call in job.workers} == {values(run)["--listen"]}
    assert [values(call)["--name"] for call in job.workers] == ["node2", "node3", "node4", "node5"]
    assert (values(run)["--targets"], values(run)["--connections"]) == ("t.toml", "50")
    assert not Path(values(run)["--certs"]).exists(), "keys are left behind"


@needs_ip
def test_loadgen_accepts_the_calls_of_the_batch_job(cluster: Mapping[str, str], tmp_path: Path) -> None:
    job = ended(cluster, submitted(cluster, "--nodes=2", SBATCH, "t.toml", "--on-loss", "abort", "--engines", "2"))
    assert sorted(accept(call["argv"]) for call in job.calls) == ["fleet certificates", "spec", "worker"]


@needs_ip
def test_a_run_that_never_began_leaves_no_waiting_worker(cluster: Mapping[str, str]) -> None:
    job = ended(cluster, submitted({**cluster, "FAKE_RUN": "refuse"}, "--nodes=3", SBATCH, "t.toml"))
    assert job.code == 2
    assert [call.get("stopped") for call in job.workers] == [True, True]


@needs_ip
def test_shortly_before_the_time_limit_the_run_is_stopped_and_judged(cluster: Mapping[str, str]) -> None:
    process = submitted({**cluster, "FAKE_RUN": "wait"}, "--nodes=2", SBATCH, "t.toml")
    calls = Path(cluster["FAKE_CALLS"])
    assert within(30, lambda: len(list(calls.glob("*.json"))) == 3)
    process.terminate()  # the fake sbatch forwards the signal, like --signal=B:TERM
    job = ended(cluster, process)
    assert (job.code, job.call("spec")["stopped"]) == (4, True)
    assert not Path(values(job.call("spec"))["--certs"]).exists(), "keys are left behind"


def test_one_node_is_refused(cluster: Mapping[str, str]) -> None:
    job = ended(cluster, submitted(cluster, "--nodes=1", SBATCH, "t.toml"))
    assert (job.code, job.calls) == (2, [])
    assert "at least two nodes" in job.output


def test_a_batch_job_without_targets_prints_its_usage(cluster: Mapping[str, str]) -> None:
    job = ended(cluster, submitted(cluster, SBATCH))
    assert (job.code, job.calls) == (2, [])
    assert job.output.startswith("usage: sbatch ")


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("#SBATCH --nodes=5\n#SBATCH --node=5", "unrecognized option '--node'"),
        ("#SBATCH --nodes=many", "invalid value of --nodes"),
        ("true\n#SBATCH --nodes=5", "behind the first command"),
    ],
)
def test_the_fake_refuses_the_options_that_slurm_refuses(
    cluster: Mapping[str, str], tmp_path: Path, wrong: str, complaint: str
) -> None:
    script = tmp_path / "wrong.sbatch"
    script.write_text(SBATCH.read_text(encoding="utf-8").replace("#SBATCH --nodes=5", wrong), encoding="utf-8")
    job = ended(cluster, submitted(cluster, script, "t.toml"))
    assert (job.code, job.calls) == (1, [])
    assert complaint in job.said
