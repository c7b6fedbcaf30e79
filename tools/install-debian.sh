#!/bin/sh
# What is needed beyond Python, where this user may install it.
#   install-debian.sh tests: what the system tests need: real web servers, a real iperf3, a terminal to look at, wrk,
#       and what reads the files in deploy/operator
#   install-debian.sh peers: what benchmarks/network.py and http_peers.py compare with
#   install-debian.sh engine-peers: what benchmarks/engine.py compares with
# What can't be installed is said; the tests that need it are skipped and say so, and CI fails.
has() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }
case "${1:-}" in
    tests) wanted="nginx:nginx-light apache2:apache2 tmux:tmux iperf3:iperf3 ip:iproute2 nsenter:util-linux sshd:openssh-server ssh:openssh-client shellcheck:shellcheck systemd-analyze:systemd wrk:wrk" ;;
    peers) wanted="iperf3:iperf3 iperf:iperf haproxy:haproxy socat:socat nginx:nginx-light ip:iproute2 wrk:wrk openssl:openssl" ;;
    engine-peers) wanted="wrk:wrk ab:apache2-utils httperf:httperf h2load:nghttp2-client hey:hey" ;;
    *) echo "usage: $0 tests|peers|engine-peers" >&2; exit 2 ;;
esac
absent() {
    for pair in $wanted; do has "${pair%%:*}" || printf ' %s' "${pair#*:}"; done
    # The stream module is a package of its own, and no program.
    [ "$1" != peers ] || [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || printf ' libnginx-mod-stream'
}
missing=$(absent "$1")
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed:$missing (what needs them will be left out)" >&2
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
fi
missing=$(absent "$1")
[ -n "$missing" ] || exit 0
echo "could not install:$missing (what needs them will be left out)" >&2
[ "${CI:-}" != true ] || exit 1
