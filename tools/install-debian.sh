#!/bin/sh
# What the system tests need beyond Python: real web servers and a terminal to look at.
# Where they can't be installed, the tests that need them are skipped and say so.
missing=""
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v apache2 >/dev/null || [ -x /usr/sbin/apache2 ] || missing="$missing apache2"
command -v tmux >/dev/null || missing="$missing tmux"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed:$missing (the tests that need them will be skipped)" >&2
    [ "${CI:-}" != true ] || exit 1  # there, nothing may be skipped
    exit 0
fi
# Debian starts a service it installs; a policy of 101 keeps ports and processes as they were.
policy=/usr/sbin/policy-rc.d
made=""
log=$(mktemp)
trap 'rm -f "$log"; [ -z "$made" ] || rm -f "$policy"' EXIT  # a policy left behind would keep every later service down
trap 'exit 130' HUP INT TERM
if [ ! -e "$policy" ]; then
    made=1
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of words
if ! { apt-get install -y -qq --no-install-recommends $missing ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; }; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "could not install:$missing (the tests that need them will be skipped)" >&2
fi
[ "${CI:-}" != true ] || { [ -x /usr/sbin/nginx ] && [ -x /usr/sbin/apache2 ] && command -v tmux >/dev/null; } || {
    echo "CI requires nginx, apache2 and tmux" >&2
    exit 1
}
