"""A container engine that hangs: Ctrl-C says what is waited for, and a second one ends the command."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.cli import LOADGEN, environment
from tests.support.frozen_engine import frozen_engine
from tests.support.vms import within

LONGEST_S = 60

COMMANDS = {
    "spec": ("spec", "--vms", "1", "--connections", "1", "--iterations", "1", "--duration", "1s", "--vm-driver", "oci"),
    "pack": ("pack", "--count", "1", "--vm-driver", "oci"),
    "relative": ("relative", "--env", "oci", "--trials", "1", "--", "true"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_says_what_is_waited_for_and_a_second_one_ends_it(command: str, tmp_path: Path) -> None:
    with frozen_engine(tmp_path) as (path, asked):
        process = subprocess.Popen(
            [LOADGEN, *COMMANDS[command], "--out", "run"],
            cwd=tmp_path,
            env={**environment(tmp_path), "DOCKER_HOST": f"unix://{path}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stderr is not None
        lines: list[str] = []
        reading = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
        reading.start()
        try:
            assert within(LONGEST_S, lambda: bool(asked)), lines
            process.send_signal(signal.SIGINT)
            said = "stopping: waiting until the container engine has removed what killed runs have left.  Ctrl-C again"
            assert within(LONGEST_S, lambda: any(said in line for line in lines)), lines
            process.send_signal(signal.SIGINT)
            assert process.wait(LONGEST_S) == 130
        finally:
            process.kill()
            process.wait()
            reading.join()
            process.stderr.close()
    assert "Traceback" not in "".join(lines)
