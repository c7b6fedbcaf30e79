"""Apache with the event MPM: the file set by sendfile, everything else proxied to our app over a unix socket."""

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
"""Needed everywhere, but compiled in on some systems: loaded where it is a file."""

_MODULE_DIRECTORIES = (  # where Debian, Red Hat, SUSE, Arch and a build by hand put them
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib64/apache2",
    "/usr/lib/httpd/modules",
    "/usr/local/apache2/modules",
)

_MIN_SPARE_THREADS = 8

# FollowSymLinks spares a look at every directory of a path for every request; nothing else writes there.
# retry=0: an app that was too slow once is asked again, instead of 503 for a minute.
# ttl: a connection that idled so long is not used again, so the app never closes one that is about to be used.
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
    """One Apache process and one app process a VM."""

    binary: str
    version: str
    modules: Path
    load: tuple[str, ...]
    kind: Server = Server.APACHE

    def files_needed(self, connections: int) -> int:
        """A client's connection and the one to the app, a file, and as many connections that are closing."""
        return 4 * connections + 64

    def setup(self, vm: Vm) -> Setup:
        """One configuration file.

        `-X` runs server and threads in one process, which our parent-death signal reaches; children of a parent
        process would survive it.
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
    """The Apache of this machine with the modules that we need, or None."""
    binary = find_binary("apache2", "httpd")
    version = ask_version(binary, r"(Apache/\S+)") if binary else None
    modules = next((path for path in map(Path, _MODULE_DIRECTORIES) if all(_has(path, m) for m in _MODULES)), None)
    if not (binary and version and modules):
        return None
    return Apache(binary, version, modules, _MODULES + tuple(m for m in _STATIC_ON_DEBIAN if _has(modules, m)))


def _threads(connections: int) -> int:
    """One for each connection and some to spare.

    The moment that all threads are busy, the event MPM closes every idle connection, so they never must be: a
    client that closes a connection and opens the next one is, for that moment, two.
    """
    return connections + max(_MIN_SPARE_THREADS, connections // 4)


def _has(directory: Path, module: str) -> bool:
    return (directory / f"mod_{module}.so").is_file()
