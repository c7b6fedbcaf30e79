#!/bin/sh
# Builds what is compiled with the address and undefined-behaviour sanitizers, apart from what is in use, and runs its
# own suites on it: `make sanitize`.  Two minutes; needs gcc with libasan.
set -eu
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' HUP INT TERM
cp -r loadgen workloads deploy coordinator tests pyproject.toml setup.py README.md LICENSE "$copy"
cd "$copy"
rm -f loadgen/engine/compiled/*.so loadgen/measure/*.so
CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all" \
    LDFLAGS="-fsanitize=address,undefined" "$python" setup.py -q build_ext --inplace
ls loadgen/engine/compiled/*.so loadgen/measure/*.so >/dev/null
# Python's own allocator would hide a byte too far; what Python never frees is not our leak.
LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc CI=true \
    "$python" -m pytest -q -p no:cacheprovider --capture=sys -k "not python and not stall" \
    tests/contract/test_engine_contract.py tests/contract/test_engine_differential.py \
    tests/contract/test_engine_edges.py tests/contract/test_engine_open_loop.py tests/unit/test_fold.py tests/unit/test_histograms.py
