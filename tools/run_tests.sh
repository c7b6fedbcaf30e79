#!/usr/bin/env bash
# Run pytest with these arguments.  Tests that fail beside other work on a busy machine are run once more, one at a time.
# They must pass then.  The failures of the first run stay in the output, because each is a fault to mend.  More than
# three failures, or an error that is no failed test, end the run at once.
set -uo pipefail
cd "$(dirname "$0")/.."
pytest=.venv/bin/pytest
most=3

output=$(mktemp)
trap 'rm -f "$output"' EXIT
"$pytest" -q "$@" 2>&1 | tee "$output"
code=${PIPESTATUS[0]}
[ "$code" -eq 1 ] || exit "$code"
# A file of tests that cannot be imported is an error without the name of a test, and its tests did not run.
grep -E '^ERROR ' "$output" | grep -qv '::' && exit "$code"
failed=$("$pytest" -q "$@" --last-failed --collect-only -n 0 | grep -c "::")
[ "$failed" -ge 1 ] && [ "$failed" -le "$most" ] || exit "$code"
echo "Run again, one at a time: $failed (the failures above are faults to mend, also if these pass now)"
"$pytest" -q "$@" --last-failed -n 0
