"""Samples of processes and cores, and who listens on a port."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from loadgen.host.listeners import listening_pids, parse_listening
from loadgen.host.processes import Core, parse_cores, parse_stat, take_sample

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def test_names_with_spaces_and_parentheses_are_read() -> None:
    fields = " ".join(["S", "7", *["0"] * 9, "3", "4", "5", "6", *["0"] * 21, "1", *["0"] * 13])
    assert parse_stat(f"42 (a\x1b[2J) {fields}\n").name == "a [2J"  # the name is shown to the user
    process = parse_stat(f"42 (a (b) c) {fields}\n")
    assert (process.name, process.parent, process.core) == ("a (b) c", 7, 1)
    assert (process.cpu_ns, process.reaped_ns) == (7 * TICK_NS, 11 * TICK_NS)


def test_interrupts_and_waiting_are_not_use_of_a_core() -> None:
    text = "cpu 1 2 3 4 5 6 7 8 0 0\ncpu3 1 2 3 40 50 60 70 8 0 0\nctxt 5\n"
    assert parse_cores(text) == {3: Core(6 * TICK_NS, 8 * TICK_NS, 70 * TICK_NS)}


def test_this_process_and_its_threads_are_found_in_the_real_proc() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        sample = take_sample([os.getpid()])
    finally:
        over.set()
        thread.join()
    found = sample.processes[os.getpid()]
    assert found.parent == os.getppid()
    assert found.cpu_ns > 0
    assert thread.native_id in sample.threads[os.getpid()]
    assert sample.cores[found.core].used_ns > 0


def test_entries_that_are_no_process_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "stat").write_text("2 (odd) S")
    (tmp_path / "stat").write_text("cpu 1 2 3\ncpu0 1 2 3 4 5 6 7 25 0 0\nctxt 5\n")
    found = take_sample([7], proc=tmp_path)
    assert found.processes == {}
    assert found.threads == {7: {}}
    assert found.cores == {0: Core(6 * TICK_NS, 25 * TICK_NS, 7 * TICK_NS)}


def test_who_listens_on_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listening_pids({port}) == {os.getpid()}
        with socket.create_connection(("127.0.0.1", port)) as client:  # its own port is not a listening one
            assert listening_pids({client.getsockname()[1]}) == set()
    assert listening_pids(set()) == set()


def test_a_listener_that_may_not_be_seen_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "1" / "net").mkdir(parents=True)
    (tmp_path / "1" / "ns").mkdir()
    (tmp_path / "1" / "ns" / "net").symlink_to("net:[1]")
    lines = ["sl local rem st", "0: 0100007F:0050 00000000:0000 0A 0:0 0:0 0 0 0 77 1", "1: short"]
    (tmp_path / "1" / "net" / "tcp").write_text("\n".join(lines))
    assert parse_listening("\n".join(lines), {80}) == {"socket:[77]"}
    assert listening_pids({80}, tmp_path) is None
    assert listening_pids({81}, tmp_path) == set()
