"""The peers of the network benchmark: how to start each, with the best settings that we know."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_NGINX_MODULES = (Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"), Path("/usr/share/nginx/modules"))
_BUFFER_BYTES = 256 << 10

HAPROXY = """\
global
  nbthread 1
  maxconn 4000
  {tuning}
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  {options}
listen bench
  bind {host}:{port}
  server sink {sink}
"""

NGINX = """\
{load}
worker_processes 1;
daemon off;
master_process off;
error_log stderr crit;
pid {directory}/nginx.pid;
events {{ worker_connections 4096; }}
stream {{
  server {{
    listen {host}:{port} backlog=4096;
    proxy_pass {sink};
    proxy_buffer_size 256k;
    tcp_nodelay on;
  }}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy: `argv` has the placeholders {host}, {port}, {sink} and {config}; `config` is the text of its
    configuration file.

    `kind` is the mode that it is compared with: "splice" or "copy".  `package` is the Debian package.
    """

    name: str
    kind: str
    argv: tuple[str, ...]
    config: str = ""
    package: str = ""

    def command(self, directory: Path, host: str, port: int, sink: str) -> list[str]:
        """Return the command that starts the proxy; writes its configuration file into `directory`."""
        known = {"host": host, "port": str(port), "sink": sink, "directory": str(directory)}
        file = directory / f"{re.sub('[^a-z0-9]+', '-', self.name.lower())}.cfg"
        if self.config:
            file.write_text(self.config.format(**known, load=_load_stream()))
        return [part.format(**known, config=file) for part in self.argv]


def _ours(mode: str) -> Proxy:
    argv = (
        sys.executable, "-c", "from coordinator.cli import main; raise SystemExit(main())", "proxy",
        "--listen", "{host}:{port}", "--connect", "{sink}", "--mode", mode,
    )  # fmt: skip
    return Proxy(f"loadgen {mode}", mode, argv)


def _haproxy(name: str, kind: str, tuning: str, options: str = "") -> Proxy:
    config = HAPROXY.replace("{tuning}", tuning).replace("{options}", options)
    return Proxy(name, kind, ("haproxy", "-db", "-f", "{config}"), config, "haproxy")


PROXIES = (
    _ours("splice"),
    _haproxy(
        "HAProxy splice, 1M pipes", "splice", "tune.pipesize 1048576", "option splice-request\n  option splice-response"
    ),
    _ours("copy"),
    _haproxy("HAProxy copy, 256K", "copy", f"tune.bufsize {_BUFFER_BYTES}"),
    Proxy(
        "nginx stream, 256K",
        "copy",
        ("nginx", "-c", "{config}", "-p", "{directory}"),
        NGINX,
        "nginx-light and libnginx-mod-stream",
    ),
    Proxy(
        "socat, 256K",
        "copy",
        ("socat", "-b", str(_BUFFER_BYTES), "TCP-LISTEN:{port},bind={host},fork,reuseaddr,backlog=4096", "TCP:{sink}"),
        package="socat",
    ),
)


def missing(proxy: Proxy) -> str:
    """Return the package that must be installed first; "" when nothing is missing."""
    if not proxy.package or (find(proxy.argv[0]) and (proxy.argv[0] != "nginx" or _stream_module() is not None)):
        return ""
    return proxy.package


@dataclass(frozen=True)
class Probe:
    """A pair of programs: `server` listens on {port}, `client` runs for {seconds} and prints its rate.

    The first second of the test is not measured, if the program can omit it.
    """

    name: str
    server: tuple[str, ...]
    client: tuple[str, ...]
    package: str = ""

    def rate_bps(self, report: str) -> float:
        """Return the rate of arrived data in the measured time.

        iperf2 reports CSV, the others report JSON in iperf3's format.
        """
        if self.client[0] == "iperf":
            return float(report.splitlines()[-1].split(",")[-1])
        document = json.loads(report)
        end = document["results"][0]["runs"][0]["end"] if "results" in document else document["end"]
        return float(end["sum_received"]["bits_per_second"])


_LOADGEN = (sys.executable, "-c", "from coordinator.cli import main; raise SystemExit(main())", "iperf")


def probes() -> tuple[Probe, ...]:
    """Return our probe, and every setting of the peers that are installed."""
    server = ("iperf3", "-s", "-p", "{port}", "-B", "{host}")
    client = ("iperf3", "-c", "{host}", "-p", "{port}", "-t", "{seconds}", "-O", "1", "-J")
    found = [
        Probe(
            "loadgen iperf",
            (*_LOADGEN, "--server", "--host", "{host}", "--port", "{port}"),
            (*_LOADGEN, "{host}", "--port", "{port}", "--windows", "auto", "--send", "--duration", "{seconds}s",
             "--omit", "1s", "--repeats", "1", "--json", "--out", "{record}"),
        ),
        Probe("iperf3", server, client, "iperf3"),
        Probe("iperf3 -l 1M", server, (*client, "-l", "1M"), "iperf3"),
        Probe("iperf3 -Z", server, (*client, "-Z"), "iperf3"),
    ]  # fmt: skip
    if (
        find("iperf3")
        and "--skip-rx-copy" in subprocess.run(["iperf3", "--help"], capture_output=True, text=True, check=False).stdout
    ):
        found.append(Probe("iperf3 --skip-rx-copy", server, (*client, "--skip-rx-copy"), "iperf3"))
    found.append(
        Probe(
            "iperf2",
            ("iperf", "-s", "-p", "{port}", "-B", "{host}"),
            ("iperf", "-c", "{host}", "-p", "{port}", "-t", "{whole}", "-y", "C"),  # this program cannot omit a second
            "iperf",
        )
    )
    return tuple(found)


def find(program: str) -> str:
    """Return the path of a program, also when only root's PATH has it; "" when it is not installed."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin") or ""


def version(program: str) -> str:
    """Return the first line of the program's version text."""
    flag = {"nginx": "-v", "haproxy": "-v", "socat": "-V"}.get(program, "--version")
    done = subprocess.run([find(program), flag], capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "ersion" in line or program in line]
    return lines[0].strip() if lines else program


def _stream_module() -> Path | None:
    return next((path for path in (d / "ngx_stream_module.so" for d in _NGINX_MODULES) if path.exists()), None)


def _load_stream() -> str:
    module = _stream_module()
    return f"load_module {module};" if module else ""
