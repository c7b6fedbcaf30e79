from __future__ import annotations

from pathlib import Path

from loadgen.host.addresses import all_addresses, parse_fib_trie, parse_if_inet6

FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.9.0.0
        /24 link UNICAST
Local:
  +-- 0.0.0.0/0 2 0 2
     |-- 10.9.0.2
        /32 host LOCAL
     |-- 10.9.0.255
        /32 link BROADCAST
"""


def process(proc: Path, pid: int, namespace: str, trie: str | None) -> None:
    home = proc / str(pid)
    (home / "ns").mkdir(parents=True)
    (home / "ns" / "net").symlink_to(namespace)
    if trie is not None:
        (home / "net").mkdir()
        (home / "net" / "fib_trie").write_text(trie)


def test_only_local_addresses_are_taken() -> None:
    assert parse_fib_trie(FIB_TRIE) == {"10.9.0.2"}
    assert parse_if_inet6("20010db8000000000000000000000007 02 40 00 80 eth0\n") == {"2001:db8::7"}
    assert parse_fib_trie("") == parse_if_inet6("") == set()


def test_every_namespace_is_read(tmp_path: Path) -> None:
    process(tmp_path, 1, "net:[1]", FIB_TRIE)
    process(tmp_path, 2, "net:[1]", FIB_TRIE)
    process(tmp_path, 3, "net:[2]", None)  # the namespace may not be read, or has ended
    process(tmp_path, 4, "net:[3]", FIB_TRIE.replace("10.9.0.2\n", "10.8.0.2\n"))
    (tmp_path / "sys").mkdir()
    assert all_addresses(tmp_path) == {"10.9.0.2", "10.8.0.2"}
