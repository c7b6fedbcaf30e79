"""A child of the warden inherits the three standard descriptors and no other, however they are closed."""

from __future__ import annotations

import os

import pytest

from deploy import proc


@pytest.mark.parametrize("in_one_call", [True, False])
def test_a_child_has_no_other_descriptor(in_one_call: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not in_one_call:
        monkeypatch.setattr(proc, "_close_from", lambda first: False)
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    output_fd, child_output_fd = os.pipe()

    def tell() -> None:
        os.write(1, " ".join(os.listdir("/proc/self/fd")).encode())  # noqa: PTH208

    try:
        pid = proc.fork_child(child_output_fd, tell)
        os.close(child_output_fd)
        said = os.read(output_fd, 4096).decode()
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        for number in (*held, output_fd):
            os.close(number)
    # The fourth is the one that lists the directory.
    assert sorted(map(int, said.split()))[:3] == [0, 1, 2]
    assert len(said.split()) == 4
