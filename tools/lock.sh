#!/bin/sh
# Writes constraints.txt: the newest version of each package that pyproject.toml allows, for all supported Python
# versions.  Called by `make lock`.  Uses uv; where uv is not installed, it is put into a temporary environment.
#   lock.sh             keep the versions that are in constraints.txt where they are still allowed
#   lock.sh --upgrade   take the newest versions
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' HUP INT TERM
uv=$(command -v uv) || {
    "${PYTHON:-python3}" -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" install --quiet uv
    uv=$scratch/venv/bin/uv
}
oldest=$(sed -n 's/^requires-python = ">=\(.*\)"$/\1/p' pyproject.toml)
[ ! -f constraints.txt ] || cp constraints.txt "$scratch/constraints.txt"
"$uv" pip compile --quiet --universal --python-version "$oldest" --extra test --no-annotate --no-header \
    "$@" --output-file "$scratch/constraints.txt" pyproject.toml >/dev/null
{
    echo "# The exact versions with which \`make demo\` and \`make test\` install loadgen.  Written by \`make lock\`."
    grep -v '^#' "$scratch/constraints.txt"
} >constraints.txt
