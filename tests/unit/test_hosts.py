from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from deploy.hosts.inventory import Host, hosts, parse, parse_list
from loadgen.model.errors import PlanError
from loadgen.model.plain import to_plain

ONE = '[[host]]\nname = "a"\n'
WORDS = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)
HOSTS = st.lists(
    st.builds(
        Host,
        name=WORDS,
        address=WORDS | st.just(""),
        user=TEXTS,
        port=st.integers(0, 65535),
        cores=st.integers(0, 512),
        bind=WORDS | st.just(""),
        command=TEXTS,
        spool=TEXTS,
    ),
    min_size=1,
    unique_by=lambda host: host.name,
)


def test_a_list_uses_the_notation_of_ssh_for_user_and_port() -> None:
    assert parse_list("a, user@b:2222,[2001:db8::7]:22 ,::1".replace(",::1", ",[::1]")) == (
        Host(name="a"),
        Host(name="b", address="b", user="user", port=2222),
        Host(name="2001:db8::7", port=22),
        Host(name="::1"),
    )


@given(HOSTS)
def test_written_hosts_read_back(written: list[Host]) -> None:
    assert parse(tomli_w.dumps({"host": [to_plain(host) for host in written]}), "h.toml") == tuple(written)


def test_a_host_is_reached_by_its_name_unless_an_address_is_given() -> None:
    assert parse(ONE, "h.toml")[0].address == "a"
    assert parse(f'{ONE}address = "192.0.2.7"', "h.toml")[0].address == "192.0.2.7"


@pytest.mark.parametrize(
    ("host", "login"),
    [
        (Host(name="a", user="u", port=22), "u@a:22"),
        (Host(name="a", address="::1", port=22), "[::1]:22"),
        (Host(name="a", address="::1"), "::1"),
    ],
)
def test_messages_name_a_host_as_ssh_would(host: Host, login: str) -> None:
    assert host.login == login


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'': a host is missing"),
        ("a,,b", "'a,,b': a host is missing"),
        ("a b", "'a b' is not a host"),
        ("a:b", "'a:b' is not a host"),
        ("u@v@a", "'u@v@a' is not a host"),
        ("::1", "'::1' is not a host"),
        ("a:70000", "host a: port 70000 is not in 1..65535"),
        ("a:0", "host a: port 0 is not in 1..65535"),
        ("-oProxyCommand=x", "'-oProxyCommand=x' is not a valid host name"),
        ("a,b,a:22", "--hosts: two hosts have the name 'a'"),
    ],
)
def test_errors_in_a_list_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_list(text)
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[host", "h.toml: not TOML"),
        ("", "h.toml: no hosts"),
        ("host = 1", "h.toml: host is not an array of tables"),
        ('[host]\nname = "a"', "h.toml: host is not an array of tables"),
        (f"{ONE}[run]\nx = 1", "h.toml: unknown key 'run'"),
        (f"{ONE}speed = 1", "h.toml: host 1: unknown key speed"),
        (f"{ONE}{ONE}", "h.toml: two hosts have the name 'a'"),
        ("[[host]]\nport = 1", "h.toml: host 1: name is missing"),
        (f"{ONE}port = '22'", "h.toml: host 1: port must be a whole number, got '22'"),
        (f"{ONE}port = true", "h.toml: host 1: port must be a whole number, got True"),
        (f"{ONE}port = -1", "h.toml: host 1: host a: port -1 is not in 1..65535"),
        (f"{ONE}cores = -1", "h.toml: host 1: host a: cores must be at least 1, got -1"),
        (f"{ONE}bind = 'x y'", "h.toml: host 1: host a: bind 'x y' is not an address"),
        (f"{ONE}address = '-x'", "h.toml: host 1: host a: address '-x' is not an address"),
        (f'{ONE}command = "a\\nb"', "h.toml: host 1: host a: command 'a\\nb' holds a control character"),
        ("[[host]]\nname = '../a'", "h.toml: host 1: '../a' is not a valid host name"),
        ("[[host]]\nname = ''", "h.toml: host 1: '' is not a valid host name"),
    ],
)
def test_errors_in_a_file_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse(text, "h.toml")
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message


def test_the_option_takes_a_list_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "fleet"
    path.write_text(ONE)
    assert hosts(str(path)) == hosts("a") == (Host(name="a"),)
    with pytest.raises(PlanError, match=r"none\.toml: No such file"):
        hosts("none.toml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="not UTF-8"):
        hosts(str(path))
