"""Link-local addresses, whose interface is a part of the address: both ends of a probe, and the proxy."""

from __future__ import annotations

import re
import shutil
import subprocess
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
kill %1 %2
wait
"""


@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("ip") is None, reason="needs unshare and ip")
def test_link_local_addresses_work_at_both_ends_and_in_the_proxy(tmp_path: Path) -> None:
    command = ["unshare", "--user", "--map-root-user", "--net", "bash", "-c", SCRIPT]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LOADGEN": LOADGEN, "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    if "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("this machine allows no namespaces")
    assert re.fullmatch(
        r"(?:[03]\n){4}1\n"  # 3: a busy machine
        r"loadgen: \[fe80::[0-9a-f:]+\]:7801 is a link-local address, which needs the name of an interface\n"
        r"hint: write it like fe80::[0-9a-f:]+%eth0; the interfaces here are .*va.*\n",
        done.stdout,
    ), done.stdout + done.stderr
