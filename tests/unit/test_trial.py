"""The findings of `loadgen doctor` about VM drivers."""

from __future__ import annotations

import asyncio

import pytest

from deploy.doctor import Level
from deploy.trial import Trial, advice, try_drivers


def test_only_a_default_driver_that_fails_is_a_problem() -> None:
    good, bad = Trial(driver="local", took_s=0.25), Trial(driver="ns", took_s=0, problem="no root", hint="be root")
    assert [(one.level, one.finding, one.meaning) for one in advice([good, bad])] == [
        (Level.OK, "one VM was started and answered in 0.2 s", ""),
        (Level.WARNING, "no root", "--vm-driver ns cannot be used here; be root"),
    ]
    (found,) = advice([Trial(driver="local", took_s=0, problem="gone")])
    assert found.level is Level.PROBLEM


def test_a_driver_that_exists_but_does_not_start_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a program is installed, or that a driver accepts the request, proves nothing."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("deploy.vms.processes._WARDEN", ("/bin/false",))
    found = {trial.driver: trial.problem for trial in asyncio.run(try_drivers())}
    assert found["local"].startswith("the servers' supervisor did not start")
    monkeypatch.setattr("deploy.vms.processes._WARDEN", ("/etc/passwd",))
    found = {trial.driver: trial.problem for trial in asyncio.run(try_drivers())}
    assert found["local"] == "the servers' supervisor did not start: Permission denied (/etc/passwd)"
    assert found["ns"] == "the VM driver ns needs root, to create namespaces"
