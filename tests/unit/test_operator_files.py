"""The files for operators: the Kubernetes manifests and the Dockerfile match the documents."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import kubernetes_validate
import pytest
import yaml

from loadgen import __version__
from tests.support.commands import accept
from tests.support.dockerfile import all_of, copied_sources, is_in_context

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "deploy" / "operator"
FILES = sorted((OPERATOR / "kubernetes").glob("*.yaml"))
OBJECTS = {
    f"{document['kind']}/{document['metadata']['name']}": document
    for path in FILES
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
}
WORKERS, COORDINATOR = OBJECTS["Job/loadgen-workers"], OBJECTS["Job/loadgen-coordinator"]
JOBS = pytest.mark.parametrize("job", [WORKERS, COORDINATOR], ids=["workers", "coordinator"])
# The oldest release that the manifests need, and the newest release with a schema.
RELEASES = ["1.29", kubernetes_validate.latest_version()]


def pod(job: Mapping[str, Any]) -> dict[str, Any]:
    found = job["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def container(job: Mapping[str, Any]) -> dict[str, Any]:
    [found] = pod(job)["containers"]
    assert isinstance(found, dict)
    return found


def arguments(job: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of a container's command, each with its value."""
    return dict(word.split("=", 1) for word in container(job)["args"][1:])


def expanded(words: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    return [re.sub(r"\$\(([A-Z_]+)\)", lambda found: variables[found[1]], word) for word in words]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", OBJECTS)
def test_kubernetes_knows_every_field(name: str, release: str) -> None:
    kubernetes_validate.validate(OBJECTS[name], release, strict=True)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "change",
    [{"completion": 4}, {"completions": "four"}, {"template": {"spec": {"containers": [{"image": "loadgen"}]}}}],
    ids=["unknown", "mistyped", "nameless"],
)
def test_the_check_of_fields_detects_errors(change: Mapping[str, Any], release: str) -> None:
    wrong = copy.deepcopy(WORKERS)
    wrong["spec"] |= change
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, release, strict=True)


def test_the_coordinator_waits_for_the_number_of_workers_that_start() -> None:
    spec = WORKERS["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == int(arguments(COORDINATOR)["--workers"])


def test_a_lost_worker_is_not_replaced_and_a_run_not_repeated() -> None:
    """With backoffLimit, the first worker that fails would end all others."""
    assert pod(WORKERS)["restartPolicy"] == pod(COORDINATOR)["restartPolicy"] == "Never"
    assert WORKERS["spec"]["backoffLimitPerIndex"] == COORDINATOR["spec"]["backoffLimit"] == 0
    assert "backoffLimit" not in WORKERS["spec"]


@JOBS
def test_a_finished_job_is_removed(job: Mapping[str, Any]) -> None:
    assert job["spec"]["activeDeadlineSeconds"] <= 24 * 3600, "its certificate is not valid for longer"
    assert job["spec"]["ttlSecondsAfterFinished"] > 0


def test_workers_run_on_different_nodes() -> None:
    [rule] = pod(WORKERS)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"] == WORKERS["spec"]["template"]["metadata"]["labels"]
    assert rule["labelSelector"]["matchLabels"] != COORDINATOR["spec"]["template"]["metadata"]["labels"]


def test_workers_join_the_coordinator_by_the_name_of_a_headless_service() -> None:
    service = OBJECTS["Service/loadgen-coordinator"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == COORDINATOR["spec"]["template"]["metadata"]["labels"]
    [port] = service["spec"]["ports"]
    assert arguments(WORKERS)["--join"] == f"{service['metadata']['name']}:{port['port']}"
    assert arguments(COORDINATOR)["--listen"] == f"$(POD_IP):{port['port']}"
    assert [port["port"]] == [known["containerPort"] for known in container(COORDINATOR)["ports"]]


def test_each_worker_sees_only_its_own_certificate() -> None:
    mount = next(mount for mount in container(WORKERS)["volumeMounts"] if mount["name"] == "certificates")
    assert mount["mountPath"] == arguments(WORKERS)["--cert"]
    assert mount["subPathExpr"] == "worker-$(INDEX).pem"
    index = next(variable for variable in container(WORKERS)["env"] if variable["name"] == "INDEX")
    path = index["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def test_mounted_files_are_where_the_coordinator_expects_them() -> None:
    mounted = {mount["mountPath"]: mount for mount in container(COORDINATOR)["volumeMounts"]}
    given = arguments(COORDINATOR)
    assert mounted[given["--certs"]]["readOnly"]
    assert str(Path(given["--targets"]).parent) in mounted
    assert "readOnly" not in mounted[str(Path(given["--out"]).parent)]


@pytest.mark.parametrize("text", [ROOT / "docs" / "kubernetes.md", OPERATOR / "kubernetes"], ids=lambda path: path.stem)
def test_documented_commands_create_the_objects_of_the_manifests(text: Path) -> None:
    """The documents show how to create each Secret and ConfigMap, with a file for each worker."""
    files = [text] if text.is_file() else FILES
    said = "\n".join(path.read_text(encoding="utf-8") for path in files)
    said = re.sub(r" \\\n[# ]*", " ", said)
    made = dict(re.findall(r"kubectl create (?:secret generic|configmap) (\S+) (.*)", said))
    volumes = [volume for job in (WORKERS, COORDINATOR) for volume in pod(job)["volumes"]]
    named = {volume["secret"]["secretName"] for volume in volumes if "secret" in volume}
    named |= {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}
    assert named == set(made)
    count = WORKERS["spec"]["completions"]
    assert re.findall(r"worker-(\d+)\.pem", made["loadgen-workers"]) == [str(number) for number in range(count)]
    assert re.findall(r"[\w-]+\.pem", made["loadgen-coordinator"]) == ["coordinator.pem"]
    assert f"loadgen fleet certificates certificates --workers {count}" in said


@JOBS
def test_mounted_objects_exist(job: Mapping[str, Any]) -> None:
    assert sorted(mount["name"] for mount in container(job)["volumeMounts"]) == sorted(
        volume["name"] for volume in pod(job)["volumes"]
    )
    claimed = [volume["persistentVolumeClaim"] for volume in pod(job)["volumes"] if "persistentVolumeClaim" in volume]
    assert [claim for claim in claimed if f"PersistentVolumeClaim/{claim['claimName']}" not in OBJECTS] == []


def test_results_of_a_worker_survive_a_read_only_image() -> None:
    volumes = {volume["name"]: volume for volume in pod(WORKERS)["volumes"]}
    writable = {
        mount["mountPath"] for mount in container(WORKERS)["volumeMounts"] if "emptyDir" in volumes[mount["name"]]
    }
    assert {arguments(WORKERS)["--spool"], "/tmp"} <= writable


@JOBS
def test_pods_meet_the_restricted_security_standard(job: Mapping[str, Any]) -> None:
    """As the "restricted" Pod Security Standard demands; in addition, without a token and with a read-only image."""
    around, own = pod(job)["securityContext"], container(job)["securityContext"]
    assert around["runAsNonRoot"] is True
    assert around["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    kinds = {kind for volume in pod(job)["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod(job))
    assert pod(job)["automountServiceAccountToken"] is False


@JOBS
def test_limits_of_a_pod_equal_its_requests(job: Mapping[str, Any]) -> None:
    resources = container(job)["resources"]
    assert set(resources["requests"]) == set(resources["limits"])
    assert {"cpu", "memory"} <= set(resources["limits"])


def test_a_worker_has_whole_cores() -> None:
    """The static CPU policy reserves cores for pods that request whole cores with limits equal to requests."""
    resources = container(WORKERS)["resources"]
    assert resources["requests"] == resources["limits"]
    assert int(resources["limits"]["cpu"]) > int(arguments(WORKERS)["--cores"])


@JOBS
def test_loadgen_takes_the_arguments_of_a_pod(job: Mapping[str, Any]) -> None:
    known = {variable["name"] for variable in container(job)["env"]}
    values = {"INDEX": "0", "POD_IP": "192.0.2.1", "POD_NAME": "loadgen-coordinator-x7k2p"}
    words = expanded(container(job)["args"], {name: values[name] for name in known})
    assert accept(words) == words[0]


# The image


def test_the_image_uses_one_supported_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    build, final = (found.partition(" AS ")[0] for found in all_of("FROM"))
    version = re.fullmatch(r"python:(3\.\d+)-slim", final)
    assert version, "the tag must name a minor version of Python, and no registry"
    assert build == f"python:{version[1]}", "the full image, which has a C compiler"
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]


def test_the_image_has_only_the_packages_of_the_directory() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    sources = copied_sources()
    assert [source for source in sources if not (ROOT / source).exists()] == []
    packages = {found.rstrip("*") for found in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    needed = {"pyproject.toml", "setup.py", "constraints.txt", project["project"]["readme"]}
    needed |= {*project["project"]["license-files"]}
    assert set(sources) == packages | needed
    assert all_of("ADD") == []


def test_the_image_installs_the_wheel_with_the_fleet_extra_and_locked_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "fleet" in project["optional-dependencies"]
    [install] = [rest for rest in all_of("RUN") if "pip install" in rest]
    assert "--constraint constraints.txt" in install
    assert install.endswith('"$(echo /wheels/*.whl)[fleet]"'), "by its file: an index may have another of that name"


def test_the_image_build_fails_without_the_compiled_parts() -> None:
    extensions = set(
        re.findall(r'^    "(loadgen[\w.]+)":', (ROOT / "setup.py").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert len(extensions) >= 3
    [check] = [rest for rest in all_of("RUN") if "import " in rest]
    assert set(re.findall(r"loadgen\.[\w.]+", check)) == extensions


@pytest.mark.parametrize(
    "name", ["runs/monday/run.json", "certificates/worker-0.pem", ".git/config", ".venv/pyvenv.cfg"]
)
def test_private_files_stay_out_of_the_build_context(name: str) -> None:
    assert not is_in_context(PurePosixPath(name))


@pytest.mark.parametrize(
    "name", ["loadgen/engine/compiled/_core.cpython-311-x86_64-linux-gnu.so", "coordinator/__pycache__/x.pyc"]
)
def test_build_products_of_the_host_stay_out_of_the_build_context(name: str) -> None:
    assert not is_in_context(PurePosixPath(name))
    assert is_in_context(PurePosixPath("loadgen/engine/compiled/_core.pyx"))


def test_the_image_runs_as_the_user_that_kubernetes_requires() -> None:
    user, group = all_of("USER")[-1].split(":")
    assert int(user) > 0
    for job in (WORKERS, COORDINATOR):
        context = pod(job)["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))
        assert context["fsGroup"] == int(group), "otherwise it could not read its certificate"


def test_the_entry_point_of_the_image_is_the_command() -> None:
    """As a list: with a shell in between, signals would not reach loadgen."""
    [entry] = all_of("ENTRYPOINT")
    assert json.loads(entry) == ["/opt/loadgen/bin/loadgen"]
    assert accept(json.loads(all_of("CMD")[-1])) == "worker"


def test_the_image_has_the_same_versioned_name_everywhere() -> None:
    texts = [*FILES, OPERATOR / "docker" / "Dockerfile", *(ROOT / "docs").glob("*.md")]
    named = [found for path in texts for found in re.findall(r"\bloadgen:[\w.]+", path.read_text(encoding="utf-8"))]
    assert len(named) >= 4
    assert set(named) == {f"loadgen:{__version__}"}
