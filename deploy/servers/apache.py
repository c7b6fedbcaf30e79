"""Apache with the event MPM: serves the file set with sendfile, forwards the rest to the application."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.servers.base import (
    BACKLOG,
    KEEP_ALIVE_S,
    UPSTREAM_IDLE_S,
    Setup,
    Vm,
    ask_version,
    find_binary,
    proxied_app,
    quoted,
)
from deploy.wire import Launch
from loadgen.model.plan import Server

_MODULES = ("mpm_event", "authz_core", "alias", "proxy", "proxy_http")

_STATIC_ON_DEBIAN = ("unixd",)
"""Needed on all systems, but compiled in on some: loaded where it is a file."""

_MODULE_DIRECTORIES = (  # of Debian, Red Hat, SUSE, Arch, and of a build by hand
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib64/apache2",
    "/usr/lib/httpd/modules",
    "/usr/local/apache2/modules",
)

_MIN_SPARE_THREADS = 8

# FollowSymLinks: otherwise Apache inspects every directory of the path at every request.
# retry=0: after one slow answer of the application, Apache asks it again, instead of answering 503 for a minute.
# ttl: a connection that was idle for so long is not used again; the application never closes one before that.
_CONFIG = """\
{load_modules}
ServerRoot {workdir}
ServerName localhost
DefaultRuntimeDir {workdir}
PidFile {pid}
Mutex "file:{mutex}" default
Listen {listen}
ListenBacklog {backlog}
ErrorLog /dev/stderr
LogLevel warn
StartServers 1
ServerLimit 1
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {threads}
MinSpareThreads 1
MaxSpareThreads {threads}
Timeout {keep_alive_s}
KeepAlive On
KeepAliveTimeout {keep_alive_s}
MaxKeepAliveRequests 0
EnableSendfile On
EnableMMAP Off
FileETag None
DocumentRoot {empty}
<Directory />
  Require all denied
  AllowOverride None
  Options FollowSymLinks
</Directory>
<Directory {empty}>
  Require all granted
</Directory>
<Directory {file_set}>
  Require all granted
  ForceType text/html
</Directory>
Alias /file_set/ {file_set_slash}
ProxyPreserveHost On
ProxyPass /dyn/ {dyn} retry=0 ttl={upstream_idle_s}
ProxyPass /cgi/ {cgi} retry=0 ttl={upstream_idle_s}
"""


@dataclass(frozen=True, slots=True)
class Apache:
    """Apache: one process per VM, and one application process."""

    binary: str
    version: str
    modules: Path
    load: tuple[str, ...]
    kind: Server = Server.APACHE

    @property
    def programs(self) -> tuple[str, ...]:
        """The program and the modules that the configuration loads."""
        return (self.binary, *(str(self.modules / f"mod_{name}.so") for name in self.load))

    def files_needed(self, connections: int) -> int:
        """Per connection: the client's, the one to the application, a file, and one that is closing."""
        return 4 * connections + 64

    def setup(self, vm: Vm) -> Setup:
        """Launch Apache with one configuration file.

        `-X` runs the server and its threads in one process, so that the parent-death signal reaches all of it; child
        processes of a server would survive.
        """
        file_set = vm.docroot / "file_set"
        upstream = f"unix:{vm.app_socket}|http://localhost"
        config = _CONFIG.format(
            load_modules="\n".join(
                f"LoadModule {name}_module {quoted(self.modules / f'mod_{name}.so')}" for name in self.load
            ),
            workdir=quoted(vm.workdir),
            pid=quoted(vm.workdir / "httpd.pid"),
            mutex=vm.workdir,
            listen=vm.listen,
            backlog=BACKLOG,
            threads=_threads(vm.connections),
            keep_alive_s=KEEP_ALIVE_S,
            empty=quoted(vm.workdir / "empty"),
            file_set=quoted(file_set),
            file_set_slash=quoted(file_set)[:-1] + '/"',
            dyn=f'"{upstream}/dyn/"',
            cgi=f'"{upstream}/cgi/"',
            upstream_idle_s=UPSTREAM_IDLE_S,
        )
        path = vm.workdir / "apache.conf"
        argv = (self.binary, "-X", "-d", str(vm.workdir), "-f", str(path))
        return Setup(
            launch=Launch(vm=vm.name, directory=str(vm.workdir), app=proxied_app(vm), program=("apache", *argv)),
            config=config,
            directories=("app", "empty"),
            files={path.name: config},
        )


def find() -> Apache | None:
    """The Apache of this machine; None when it, or a module that is needed, is not installed."""
    binary = find_binary("apache2", "httpd")
    version = ask_version(binary, r"(Apache/\S+)") if binary else None
    modules = next((path for path in map(Path, _MODULE_DIRECTORIES) if all(_has(path, m) for m in _MODULES)), None)
    if not (binary and version and modules):
        return None
    return Apache(binary, version, modules, _MODULES + tuple(m for m in _STATIC_ON_DEBIAN if _has(modules, m)))


def _threads(connections: int) -> int:
    """The number of threads: one per connection, and spare ones.

    When all threads are busy, the event MPM closes every idle connection, so some must always be free: a client that
    closes a connection and opens the next one needs two threads for a moment.
    """
    return connections + max(_MIN_SPARE_THREADS, connections // 4)


def _has(directory: Path, module: str) -> bool:
    return (directory / f"mod_{module}.so").is_file()
