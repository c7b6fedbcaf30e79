"""Ready benchmarks for `loadgen relative`.  A new one is one more entry in the table at the end.

The texts are programs for /bin/sh.  They begin in an empty directory of a fresh VM, and end with a status other than 0
when anything fails.  DURATION_S is the duration of the plan, in whole seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadgen.model.relative import Better, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that a recipe needs, and the Debian package that has it; `places` are directories beside PATH."""

    name: str
    package: str
    places: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A benchmark: `prepare` is not measured, `run` is.  Without metrics, the wall time of `run` counts."""

    about: str
    programs: Sequence[Program]
    run: str
    prepare: str = ""
    metrics: tuple[Metric, ...] = ()


def _written(name: str) -> str:
    """The words for the shell that write a file of this directory."""
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return f"cat > {name} <<'END_OF_FILE'\n{text}END_OF_FILE\n"


_PG_BIN = "/usr/lib/postgresql/*/bin"

_DBENCH = Recipe(
    about="file server load with 4 clients",
    programs=(Program(name="dbench", package="dbench"),),
    run='dbench -D . -c /usr/share/dbench/client.txt -t "$DURATION_S" 4\n',
    metrics=(Metric(pattern=r"^Throughput ([0-9.]+) MB/sec", name="throughput", unit="MB/s", better=Better.HIGHER),),
)

# PostgreSQL refuses to run as root.  It listens at a socket in its own directory only, so that several can run at once.
_PG = f"""\
for d in {_PG_BIN}; do [ ! -d "$d" ] || PATH=$d:$PATH; done
export PATH LC_ALL=C
as=
[ "$(id -u)" != 0 ] || as="setpriv --reuid=nobody --regid=nogroup --clear-groups --"
"""

_PGBENCH = Recipe(
    about="transactions like those of TPC-B, with a PostgreSQL in each VM",
    programs=(
        Program(name="initdb", package="postgresql", places=_PG_BIN),
        Program(name="pgbench", package="postgresql", places=_PG_BIN),
        Program(name="setpriv", package="util-linux"),
    ),
    prepare=f"""{_PG}set -e
if [ -n "$as" ] && ! chown nobody . 2> /dev/null; then
    echo "PostgreSQL refuses to run as root, and this VM has no other user: run loadgen as root"
    exit 1
fi
$as initdb -D data -U loadgen -A trust --no-sync > init.log 2>&1 || {{ cat init.log; exit 1; }}
$as pg_ctl -D data -w -t 120 -l data/server.log -o "-k $PWD -c listen_addresses= -c shared_buffers=32MB" start \\
    > start.log 2>&1 || {{ cat start.log data/server.log; exit 1; }}
$as pgbench -h "$PWD" -U loadgen -i -s 1 -q postgres
""",
    run=f'{_PG}exec $as pgbench -h "$PWD" -U loadgen -c 2 -j 1 -T "$DURATION_S" postgres\n',
    metrics=(Metric(pattern=r"^tps = ([0-9.]+)", name="transactions", unit="1/s", better=Better.HIGHER),),
)

_COMPILE = Recipe(
    about="gcc -O2 over 16 generated C files, as many at once as there are cores",
    programs=(Program(name="gcc", package="gcc"), Program(name="awk", package="mawk")),
    prepare="""set -e
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
awk -v n=$n 'BEGIN {
    print "#include <stdio.h>\\n#include <string.h>\\nstruct item { int key; char text[24]; struct item *next; };"
    for (i = 0; i < 20; i++) {
        printf "int f%d_%d(struct item *head, int limit) {\\n    char line[128];\\n    int sum = %d, at;\\n", n, i, i
        print "    for (at = 0; head && at < limit; at++, head = head->next) {"
        print "        switch (head->key % 5) {\\n        case 0: sum += head->key; break;"
        print "        case 1: sum ^= (int) strlen(head->text); break;\\n        case 2: sum -= at * limit; break;"
        print "        default: snprintf(line, sizeof line, \\"%s %d\\", head->text, sum); sum += line[0]; }"
        print "    }\\n    return sum;\\n}"
    }
}' > part$n.c
done
""",
    run='ls part*.c | xargs -P "$(nproc)" -n 1 gcc -O2 -c\n',
)

_MICRO = Recipe(
    about="latencies and bandwidths of the kernel, by a program of loadgen's own with the rows of lmbench's tables",
    programs=(Program(name="gcc", package="gcc"), Program(name="cat", package="coreutils")),
    prepare="".join(
        ["set -e\n", *map(_written, ("micro.c", "micro_timing.h", "micro_pairs.h")), "gcc -O2 -o micro micro.c\n"]
    ),
    run="exec ./micro\n",
    metrics=(
        Metric(pattern=r"^(?P<name>[^=\n]+) = (?P<value>[0-9.]+) us$", name="latency", unit="us", better=Better.LOWER),
        Metric(
            pattern=r"^(?P<name>[^=\n]+) = (?P<value>[0-9.]+) MB/s$",
            name="bandwidth",
            unit="MB/s",
            better=Better.HIGHER,
        ),
    ),
)

RECIPES = {"dbench": _DBENCH, "pgbench": _PGBENCH, "compile": _COMPILE, "micro": _MICRO}
"""By name."""
