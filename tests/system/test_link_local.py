"""Link-local addresses, whose interface is a part of the address: both ends of a probe, the proxy, web servers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import LOADGEN

SCRIPT = """
set -e
ip link set lo up
ip link add va type veth peer name vb
ip link set va up
ip link set vb up
address() { ip -6 -o addr show dev $1 scope link -tentative | sed -n 's/.* \\(fe80[^/]*\\).*/\\1/p'; }
until [ -n "$(address va)" ] && [ -n "$(address vb)" ]; do sleep 0.1; done
A=$(address va) B=$(address vb)
$LOADGEN iperf --server --host $B%vb -p 7801 >/dev/null 2>server.txt &
$LOADGEN proxy --listen "[$A%va]:7900" --connect "[$B%va]:7801" >/dev/null 2>proxy.txt &
until grep -q "served on" server.txt && grep -q "forwards to" proxy.txt; do sleep 0.1; done
test() { $LOADGEN iperf "$@" -t 200ms --repeats 1 --out run >out.txt 2>err.txt && true; echo "$?"; rm -rf run; }
test $B%va -p 7801 -w auto --send
test "[$B%va]:7801" -u -R
test -c $B%va -p 7801 -B $A%va --rr
test "[$A%vb]:7900" -w auto --send
test $B -p 7801
cat err.txt
$PYTHON -m http.server --bind $B%vb --directory served 7980 >log.txt 2>&1 &
until $PYTHON ask.py $B%va 7980 | grep -q here; do sleep 0.1; done
load() { $LOADGEN http "$@" -n 2 -c 1 --json --out run >out.txt 2>err.txt && true
         echo "$? $(grep -o -m 1 '"ok": .*' out.txt)"; rm -rf run; }
load "http://[$B%25va]:7980/file"
load "http://[$B%va]:7980/file" --engine python
load http://h.test:7980/file --connect-to "::[$B%va]:7980"
$PYTHON ask.py $B%va 7980
kill %1 %2 %3
wait
"""

ASK = """
import sys, uvloop
from deploy.ask import ask_all
from loadgen.model.target import Target

host, port = sys.argv[1], int(sys.argv[2])
targets = [Target(name="t", host=host, port=one) for one in (port, port + 1)]
for answer in uvloop.run(ask_all(targets, "/file")):
    print(answer.body, answer.problem)
"""


@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("ip") is None, reason="needs unshare and ip")
def test_link_local_addresses_work_wherever_an_address_is_taken(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file").write_text("here")
    (tmp_path / "ask.py").write_text(ASK)
    command = ["unshare", "--user", "--map-root-user", "--net", "bash", "-c", SCRIPT]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LOADGEN": LOADGEN, "HOME": str(tmp_path),
             "PYTHON": sys.executable, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    if "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("this machine allows no namespaces")
    assert re.fullmatch(
        r"(?:[03]\n){4}1\n"  # 3: a busy machine
        r"loadgen: \[fe80::[0-9a-f:]+\]:7801 is a link-local address, which needs the name of an interface\n"
        r"hint: write it like fe80::[0-9a-f:]+%eth0; the interfaces here are .*va.*\n"
        r'(?:[03] "ok": 2,\n){3}'
        r"b'here' \nb'' connection refused\n",
        done.stdout,
    ), done.stdout + done.stderr
