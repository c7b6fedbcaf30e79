"""`loadgen forward` as users run it: in a lab, without root, by hand, interrupted and killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.lab.sweep import MARK
from tests.support.cli import LOADGEN, Done, alive, command_of, descendants, environment, loadgen, start
from tests.support.lab import held_namespaces, lab_nics_here, named_namespaces, namespaces_of, needs_lab
from tests.support.vms import within

TINY = ("--windows", "64K", "--flows", "1", "--repeats", "1", "--duration", "300ms", "--omit", "200ms")
SETPRIV = shutil.which("setpriv")
needs_setpriv = pytest.mark.skipif(
    (SETPRIV is None or os.geteuid() != 0) and os.environ.get("CI") != "true",
    reason="root and setpriv (util-linux) are needed to run as a user who may not build a network",
)


def unprivileged(*arguments: str, cwd: Path) -> Done:
    """Run as a user who may not create a network namespace."""
    assert SETPRIV is not None
    done = subprocess.run(
        [SETPRIV, "--bounding-set", "-all", "--inh-caps", "-all", LOADGEN, *arguments],
        cwd=cwd,
        env=environment(cwd),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def by_mode(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["mode"]: row for row in document["results"]}


def begun(process: subprocess.Popen[str], seen: str) -> set[int]:
    """Wait for a line of stderr with `seen`; returns the network namespaces of the process and its children."""
    assert process.stderr is not None
    while seen not in (line := process.stderr.readline()):
        assert line, f"the command ended before it printed {seen!r}"
    return namespaces_of([process.pid, *descendants(process.pid)])


@needs_lab
def test_in_a_lab_both_nics_are_crossed_and_nothing_is_left(tmp_path: Path) -> None:
    named, held = named_namespaces(), held_namespaces()
    asked = ("--lab", "gige", "--at-least", "2G")
    with start("forward", *asked, *TINY, "--json", "--out", "run", cache=tmp_path, cwd=tmp_path) as one:
        try:
            made = begun(one, "done 1/") - held
            out, err = one.communicate(timeout=90)
        finally:
            one.kill()
    assert made
    done = Done(one.returncode, out, err)
    assert done.code in (1, 3), done.err  # 3: other processes used this machine's cores during the run
    rows = by_mode(done.document)
    assert set(rows) == {"direct", "splice", "copy"}
    for row in rows.values():
        assert (row["link"], row["window_bytes"], row["flows"]) == ("gige", 65536, 1)
        assert 0 < row["mbit_per_s"] < 1000
    assert rows["splice"]["cpu_s_per_gb"] > 0
    for proof in done.document["nics"]:
        assert (proof["rx_nic"], proof["tx_nic"], proof["ok"]) == ("va1", "vb0", True)
    assert {row["mode"] for row in done.document["latencies"]} == {"direct", "splice", "copy"}
    assert named_namespaces() <= named
    assert not lab_nics_here()
    assert within(20, lambda: not held_namespaces() & made)
    assert any("2,000" in reason or "2000" in reason for reason in done.document["reasons"])


@needs_setpriv
def test_without_root_loopback_is_used_and_its_limits_are_reported(tmp_path: Path) -> None:
    done = unprivileged("forward", "--modes", "copy", *TINY, "--out", "run", cwd=tmp_path)
    assert done.code in (0, 3), done.err
    said = " ".join(done.out.split())
    assert "no lab was built" in said
    assert "root" in said
    assert "loopback" in said


@needs_setpriv
def test_a_lab_that_cannot_be_built_is_a_plan_error(tmp_path: Path) -> None:
    done = unprivileged("forward", "--lab", "gige", *TINY, "--out", "run", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "no lab can be built: a network namespace cannot be created" in done.err
    assert "hint: use --lab loopback" in done.err
    assert "Traceback" not in done.err


def test_contradictory_options_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    done = loadgen("forward", "--role", "proxy", "--listen", "127.0.0.1:0", cache=tmp_path, cwd=tmp_path)
    assert (done.code, done.out, list(tmp_path.iterdir())) == (2, "", [])
    assert "--role proxy needs --connect" in done.err


@needs_lab
def test_ctrl_c_judges_the_finished_tests(tmp_path: Path) -> None:
    held = held_namespaces()
    asked = ("--lab", "gige", "--modes", "splice", "--windows", "64K", "--repeats", "9", "--flows", "1")
    with start(
        "forward", *asked, "--duration", "400ms", "--omit", "0s", "--out", "run", cache=tmp_path, cwd=tmp_path
    ) as one:
        try:
            made = begun(one, "done 1/") - held
            one.send_signal(signal.SIGINT)
            out, _ = one.communicate(timeout=60)
        finally:
            one.kill()
    assert one.returncode == 130
    assert "interrupted" in out
    assert "64K" in out
    assert made
    assert within(20, lambda: not held_namespaces() & made)
    shown = loadgen("show", "run", cache=tmp_path, cwd=tmp_path)
    assert (shown.code, shown.out) == (0, out)


@needs_lab
@pytest.mark.parametrize("moment", ["getting ready", "1/", "done 1/"])
def test_a_kill_leaves_no_network_and_no_process_but_a_readable_record(moment: str, tmp_path: Path) -> None:
    held = held_namespaces()
    asked = ("--lab", "none", "--modes", "splice", "--windows", "64K", "--repeats", "9", "--flows", "1")
    with start("forward", *asked, "--duration", "400ms", "--out", "run", cache=tmp_path, cwd=tmp_path) as one:
        try:
            made = begun(one, moment) - held
            children = descendants(one.pid)
        finally:
            one.kill()
    assert within(20, lambda: not any(map(alive, children)))
    assert within(20, lambda: not held_namespaces() & made)
    assert not lab_nics_here()
    shown = loadgen("show", "run", cache=tmp_path, cwd=tmp_path)
    assert (shown.code, shown.err) == (0, "")
    assert ("64K" in shown.out) or moment != "done 1/"


@needs_lab
def test_a_proxy_that_dies_is_named(tmp_path: Path) -> None:
    asked = ("--lab", "none", "--modes", "splice", "--windows", "64K", "--repeats", "9", "--flows", "1")
    with start("forward", *asked, "--duration", "400ms", "--out", "run", cache=tmp_path, cwd=tmp_path) as one:
        try:
            begun(one, "done 1/")
            (proxy,) = [pid for pid in descendants(one.pid) if "loadgen.proxy.process" in command_of(pid)]
            os.kill(proxy, signal.SIGKILL)
            out, _ = one.communicate(timeout=30)
        finally:
            one.kill()
    assert one.returncode in (3, 4)
    assert "the proxy has ended: killed by signal 9" in " ".join(out.split())


def test_the_roles_can_be_started_by_hand_on_three_machines(tmp_path: Path) -> None:
    """In this test, this machine plays all three."""
    with start("forward", "--role", "sink", "--listen", "127.0.0.1:0", cache=tmp_path, cwd=tmp_path) as sink:
        try:
            sink_at = _address(sink, r"sink: listens on (\S+)")
            role = ("forward", "--role", "proxy", "--listen", "127.0.0.1:0", "--connect", sink_at, "--windows", "64K")
            with start(*role, cache=tmp_path, cwd=tmp_path) as proxy:
                try:
                    proxy_at = _address(proxy, r"proxy: reports on ([^;\s]+)")
                    source = ("forward", "--sink", sink_at, "--proxy", proxy_at, "--modes", "splice", "--json", *TINY)
                    done = loadgen(*source, "--out", "run", cache=tmp_path, cwd=tmp_path)
                    asked_too_much = loadgen(
                        *("forward", "--sink", sink_at, "--proxy", proxy_at, "--modes", "splice", "--windows", "32K"),
                        *("--out", "not"),
                        cache=tmp_path,
                        cwd=tmp_path,
                    )
                    proxy.send_signal(signal.SIGINT)
                    said = proxy.communicate(timeout=30)[1]
                finally:
                    proxy.kill()
            sink.send_signal(signal.SIGTERM)
            assert sink.wait(timeout=30) == 0
        finally:
            sink.kill()
    assert by_mode(done.document)["splice"]["mbit_per_s"] > 0, done.err
    assert asked_too_much.code == 2
    assert "no service for splice 32K" in asked_too_much.err
    assert proxy.returncode == 0
    assert re.search(r"accepted=[1-9]\d* .*forwarded_MB=\d", said.splitlines()[-1])


def _address(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"the command ended before it printed {pattern!r}")


def test_clean_ends_only_processes_that_a_lab_left(tmp_path: Path) -> None:
    script = "import time; time.sleep(60)"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mark = {**os.environ, MARK: f"{ended.pid}:1"}
    with (
        subprocess.Popen([sys.executable, "-c", script], env=mark) as orphan,
        subprocess.Popen([sys.executable, "-c", script]) as stranger,
    ):
        try:
            time.sleep(0.05)
            first = loadgen("lab", "clean", cache=tmp_path, cwd=tmp_path)
            second = loadgen("lab", "clean", cache=tmp_path, cwd=tmp_path)
            assert (first.code, second.code) == (0, 0)
            assert f"ended: pid {orphan.pid}, {sys.executable} -c import time" in first.out
            assert second.out == "nothing left\n"
            assert orphan.wait(timeout=20) == -signal.SIGKILL
            assert stranger.poll() is None
        finally:
            orphan.kill()
            stranger.kill()
