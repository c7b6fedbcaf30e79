from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.servers import catalog
from deploy.servers.apache import Apache
from deploy.servers.base import Vm, WebServer
from deploy.servers.builtin import Builtin
from deploy.servers.nginx import Nginx
from loadgen.model.errors import PlanError
from loadgen.model.plan import Server

VM = Vm(
    name="vm07", host="127.0.0.1", port=8087, connections=300, docroot=Path("/data/set"), workdir=Path("/t/run/vm07")
)
NGINX = Nginx("/sbin/nginx", "nginx/1.22.1")
APACHE = Apache("/sbin/apache2", "Apache/2.4.71", Path("/modules"), ("mpm_event", "proxy"))
BUILTIN = Builtin("aiohttp/3")

PROXIES: list[WebServer] = [NGINX, APACHE]


def lines(server: WebServer, vm: Vm = VM) -> list[str]:
    return [line.strip() for line in server.setup(vm).config.splitlines()]


def test_nginx_listens_serves_and_proxies() -> None:
    config = lines(NGINX)
    assert "listen 127.0.0.1:8087 backlog=4096;" in config
    assert 'root "/data/set";' in config
    assert 'server "unix:/t/run/vm07/app.sock" max_fails=0;' in config
    assert config.count("proxy_pass http://app;") == 2
    assert "access_log off;" in config
    assert "sendfile on;" in config


def test_nginx_is_one_process_that_ends_with_its_parent() -> None:
    assert {"daemon off;", "master_process off;"} <= set(lines(NGINX))


def test_nginx_allows_twice_the_connections_and_the_proxied_ones() -> None:
    assert f"worker_connections {NGINX.files_needed(300)};" in lines(NGINX)
    assert NGINX.files_needed(300) > 3 * 300


def test_nginx_writes_only_in_its_own_directory() -> None:
    for line in lines(NGINX):
        if line.startswith(("pid", "client_body_temp", "proxy_temp", "fastcgi_temp", "uwsgi_temp", "scgi_temp")):
            assert line.split()[1].strip('";').startswith("/t/run/vm07/")


def test_apache_listens_serves_and_proxies() -> None:
    config = lines(APACHE)
    assert "Listen 127.0.0.1:8087" in config
    assert 'Alias /file_set/ "/data/set/file_set/"' in config
    assert 'ProxyPass /dyn/ "unix:/t/run/vm07/app.sock|http://localhost/dyn/" retry=0 ttl=60' in config
    assert 'ProxyPass /cgi/ "unix:/t/run/vm07/app.sock|http://localhost/cgi/" retry=0 ttl=60' in config
    assert 'LoadModule proxy_module "/modules/mod_proxy.so"' in config
    assert "MaxKeepAliveRequests 0" in config
    assert not any("CustomLog" in line for line in config)


def test_apache_has_a_thread_for_every_connection_in_one_process() -> None:
    config = dict(line.split(" ", 1) for line in lines(APACHE) if " " in line)
    assert int(config["MaxRequestWorkers"]) > 300
    assert config["ThreadsPerChild"] == config["ThreadLimit"] == config["MaxRequestWorkers"]
    assert config["ServerLimit"] == "1"
    assert "-X" in APACHE.setup(VM).launch.program


def test_idle_connections_are_kept_longer_than_the_longest_pause_of_a_client() -> None:
    pause_s = 8 * 921_600 / 400_000
    nginx = next(line for line in lines(NGINX) if line.startswith("keepalive_timeout 1"))
    apache = next(line for line in lines(APACHE) if line.startswith("KeepAliveTimeout"))
    assert int(nginx.split()[1].strip("s;")) > 3 * pause_s
    assert int(apache.split()[1]) > 3 * pause_s


@pytest.mark.parametrize("server", PROXIES, ids=lambda s: s.kind.value)
def test_behind_a_proxy_the_app_serves_no_files(server: WebServer) -> None:
    app = server.setup(VM).launch.app
    assert app is not None
    assert not app.static
    assert app.unix_socket == "/t/run/vm07/app.sock"


def test_builtin_serves_everything_on_the_port() -> None:
    launch = BUILTIN.setup(VM).launch
    assert launch.program == ()
    assert launch.app is not None
    assert launch.app.static
    assert (launch.app.host, launch.app.port, launch.app.unix_socket) == ("127.0.0.1", 8087, "")


@pytest.mark.parametrize("server", PROXIES, ids=lambda s: s.kind.value)
def test_ipv6_addresses_are_in_brackets(server: WebServer) -> None:
    assert any("[::1]:8087" in line for line in lines(server, replace(VM, host="::1")))


@pytest.mark.parametrize("server", PROXIES, ids=lambda s: s.kind.value)
@pytest.mark.parametrize("path", ["/da ta/$x", '/a"b', "/a\\b", "/a\nb", "/%{HOST}", "/a[b]", "/a*"])
def test_a_path_with_special_characters_is_refused(server: WebServer, path: str) -> None:
    with pytest.raises(PlanError, match="cannot be used"):
        server.setup(replace(VM, docroot=Path(path)))


@pytest.mark.parametrize("server", PROXIES, ids=lambda s: s.kind.value)
def test_a_path_with_blanks_is_quoted(server: WebServer) -> None:
    assert any('"/my data' in line for line in lines(server, replace(VM, docroot=Path("/my data"))))
    for line in lines(server, replace(VM, workdir=Path("/my run/vm07"))):
        if "/my run" in line:
            assert '"' in line.partition("/my run")[0], line


@pytest.mark.parametrize("length", [95, 96])
def test_a_path_too_long_for_a_unix_socket_is_refused(length: int) -> None:
    workdir = Path("/" + "d" * (length - len("//app.sock")))
    vm = replace(VM, workdir=workdir)
    if length == 95:
        assert len(str(vm.app_socket)) == length
    else:
        with pytest.raises(PlanError, match="95 bytes"):
            NGINX.setup(vm)


def test_auto_takes_nginx_then_apache_then_builtin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.KINDS, Server.NGINX, lambda: NGINX)
    monkeypatch.setitem(catalog.KINDS, Server.APACHE, lambda: APACHE)
    assert catalog.choose(Server.AUTO) == NGINX
    monkeypatch.setitem(catalog.KINDS, Server.NGINX, lambda: None)
    assert catalog.choose(Server.AUTO) == APACHE
    monkeypatch.setitem(catalog.KINDS, Server.APACHE, lambda: None)
    assert catalog.choose(Server.AUTO).kind is Server.BUILTIN


@pytest.mark.parametrize("kind", [Server.NGINX, Server.APACHE])
def test_a_server_that_is_not_installed_is_named(kind: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.KINDS, kind, lambda: None)
    with pytest.raises(PlanError, match=f"{kind.value} is not installed") as caught:
        catalog.choose(kind)
    assert "--server builtin" in caught.value.hint
