#!/bin/sh
# Builds the compiled parts with the address and undefined-behaviour sanitizers in a copy of the source, and runs their
# tests on that build: `make sanitize`.  Takes two minutes; needs gcc with libasan.
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
# Python's allocator would hide accesses out of bounds.  Python does not free all memory at its end, so leaks are not
# looked for.
LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc CI=true \
    "$python" -m pytest -q -p no:cacheprovider --capture=sys -k "not python and not stall" \
    tests/contract/test_engine_contract.py tests/contract/test_engine_differential.py \
    tests/contract/test_engine_edges.py tests/contract/test_engine_open_loop.py tests/contract/test_engine_pages.py \
    tests/contract/test_engine_tcp.py tests/unit/test_fold.py tests/unit/test_histograms.py
