"""nginx: serves the file set with sendfile, forwards the rest to the application."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, replace

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

_ENV = "/usr/bin/env"

# master_process off: one process, which the parent-death signal reaches; a worker of a master would survive.
# Without a master, nginx does not change its user either.
# keepalive_requests has no value for "unlimited"; this one is larger than the requests of any connection.
_CONFIG = """\
daemon off;
master_process off;
pid {pid};
error_log stderr warn;
events {{
  worker_connections {worker_connections};
}}
http {{
  access_log off;
  default_type text/html;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout {keep_alive_s}s;
  keepalive_requests 1000000000;
  client_body_temp_path "{temp}/body";
  proxy_temp_path "{temp}/proxy";
  fastcgi_temp_path "{temp}/fastcgi";
  uwsgi_temp_path "{temp}/uwsgi";
  scgi_temp_path "{temp}/scgi";
  upstream app {{
    server "unix:{socket}" max_fails=0;
    keepalive {connections};
    keepalive_requests 1000000000;
    keepalive_timeout {upstream_idle_s}s;
  }}
  server {{
    listen {listen} backlog={backlog};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_max_temp_file_size 0;
    location / {{
      return 404;
    }}
    location /file_set/ {{
      root {docroot};
    }}
    location /dyn/ {{
      proxy_pass http://app;
    }}
    location /cgi/ {{
      proxy_pass http://app;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """nginx: one process per VM, and one application process."""

    binary: str
    version: str
    kind: Server = Server.NGINX

    @property
    def programs(self) -> tuple[str, ...]:
        """The program."""
        return (self.binary,)

    def files_needed(self, connections: int) -> int:
        """Per connection: the client's, the one to the application, a file, and one that is closing."""
        return 4 * connections + 64

    def setup(self, vm: Vm) -> Setup:
        """Launch nginx with one configuration file; temporary files stay in the directory of the VM."""
        config = _CONFIG.format(
            pid=quoted(vm.workdir / "nginx.pid"),
            worker_connections=self.files_needed(vm.connections),
            keep_alive_s=KEEP_ALIVE_S,
            temp=vm.workdir / "tmp",
            socket=vm.app_socket,
            connections=vm.connections,
            upstream_idle_s=UPSTREAM_IDLE_S,
            listen=vm.listen,
            backlog=BACKLOG,
            docroot=quoted(vm.docroot),
        )
        path = vm.workdir / "nginx.conf"
        argv = (self.binary, "-p", str(vm.workdir), "-e", "stderr", "-c", str(path))
        return Setup(
            launch=Launch(vm=vm.name, directory=str(vm.workdir), app=proxied_app(vm), program=("nginx", *argv)),
            config=config,
            directories=("app", "tmp"),
            files={path.name: config},
        )

    def inheriting(self, setup: Setup, descriptor: int) -> Setup:
        """Launch nginx as an upgraded binary is launched: the variable NGINX names the sockets that it takes over.

        Without a master process, nginx crashes on such sockets (seen with 1.22).  A worker of a master runs as another
        user by default, so the configuration names the present one.
        """
        name, *argv = setup.launch.program
        user = pwd.getpwuid(os.geteuid()).pw_name
        config = setup.config.replace("master_process off;", f"worker_processes 1;\nuser {user};")
        return replace(
            setup,
            launch=replace(setup.launch, program=(name, _ENV, f"NGINX={descriptor};", *argv)),
            config=config,
            files=dict.fromkeys(setup.files, config),
        )


def find() -> Nginx | None:
    """The nginx of this machine; None when it is not installed."""
    binary = find_binary("nginx")
    version = ask_version(binary, r"(nginx/\S+)") if binary else None
    return Nginx(binary, version) if binary and version else None
