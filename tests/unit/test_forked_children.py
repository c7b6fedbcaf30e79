"""A child of the warden inherits the three standard descriptors and those that are kept, however others are closed."""

from __future__ import annotations

import os

import pytest

from deploy import proc


@pytest.mark.parametrize("in_one_call", [True, False])
@pytest.mark.parametrize("places", [(), (0,), (49,), (10, 11), (0, 20, 49)])
def test_a_child_has_no_other_descriptor(
    in_one_call: bool, places: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_one_call:
        monkeypatch.setattr(proc, "_close_range", lambda first, last: False)
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    kept = [held[place] for place in places]
    output_fd, child_output_fd = os.pipe()

    def tell() -> None:
        os.write(1, " ".join(os.listdir("/proc/self/fd")).encode())  # noqa: PTH208

    try:
        pid = proc.fork_child(child_output_fd, tell, kept)
        os.close(child_output_fd)
        said = os.read(output_fd, 4096).decode()
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        for number in (*held, output_fd):
            os.close(number)
    found = set(map(int, said.split()))
    assert {0, 1, 2, *kept} < found
    assert len(found) == 4 + len(kept)  # one more is the descriptor that lists the directory
