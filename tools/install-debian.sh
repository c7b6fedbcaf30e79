#!/bin/sh
# Installs Debian packages, if this user may do so.
#   install-debian.sh tests: for the system tests: web servers, podman, iperf3, a terminal multiplexer, wrk, dbench, QEMU
#       with a kernel, a browser, and the tools that check the files in deploy/operator
#   install-debian.sh peers: for the comparisons in benchmarks/network.py and http_peers.py
#   install-debian.sh engine-peers: for the comparisons in benchmarks/engine.py
# Packages that cannot be installed are listed on stderr.  The tests that need them are skipped; in CI, this script fails.
has() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }
case "${1:-}" in
    tests) wanted="nginx:nginx-light apache2:apache2 tmux:tmux iperf3:iperf3 ip:iproute2 nsenter:util-linux sshd:openssh-server ssh:openssh-client shellcheck:shellcheck systemd-analyze:systemd wrk:wrk mke2fs:e2fsprogs podman:podman dbench:dbench chromium:chromium chromedriver:chromium-driver" ;;
    peers) wanted="iperf3:iperf3 iperf:iperf haproxy:haproxy socat:socat nginx:nginx-light ip:iproute2 wrk:wrk openssl:openssl" ;;
    engine-peers) wanted="wrk:wrk ab:apache2-utils httperf:httperf h2load:nghttp2-client hey:hey" ;;
    *) echo "usage: $0 tests|peers|engine-peers" >&2; exit 2 ;;
esac
absent() {
    for pair in $wanted; do has "${pair%%:*}" || printf ' %s' "${pair#*:}"; done
    # The stream module of nginx has its own package, and no program.
    # QEMU's microvm is for x86_64; the kernel of its VMs is a file.
    if [ "$1" = tests ] && [ "$(uname -m)" = x86_64 ]; then
        has qemu-system-x86_64 || printf ' qemu-system-x86'
        ls /boot/vmlinuz-* >/dev/null 2>&1 || printf ' linux-image-cloud-amd64'
    fi
    [ "$1" != peers ] || [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || printf ' libnginx-mod-stream'
}
missing=$(absent "$1")
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed:$missing (tests and comparisons that need them are skipped)" >&2
    [ "${CI:-}" != true ] || exit 1  # in CI, nothing may be skipped
    exit 0
fi
# Debian starts each service that it installs; a policy that exits with 101 forbids that.
policy=/usr/sbin/policy-rc.d
made=""
log=$(mktemp)
trap 'rm -f "$log"; [ -z "$made" ] || rm -f "$policy"' EXIT  # with the policy left behind, no later service would start
trap 'exit 130' HUP INT TERM
if [ ! -e "$policy" ]; then
    made=1
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
export INITRD=No  # a kernel for VMs needs no initramfs for this machine
# shellcheck disable=SC2086  # a list of words
if ! { apt-get install -y -qq --no-install-recommends $missing ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; }; } >"$log" 2>&1; then
    cat "$log" >&2
fi
missing=$(absent "$1")
[ -n "$missing" ] || exit 0
echo "could not install:$missing (tests and comparisons that need them are skipped)" >&2
[ "${CI:-}" != true ] || exit 1
