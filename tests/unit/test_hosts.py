from __future__ import annotations

import shlex
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
        command=st.lists(TEXTS.filter(bool), max_size=3).map(shlex.join),
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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("user@corp.test@h", (Host(name="h", user="user@corp.test"),)),
        ("u@v@a:22", (Host(name="a", user="u@v", port=22),)),
        ("ssh://u@h:22", (Host(name="h", user="u", port=22),)),
        ("SSH://h/, b", (Host(name="h"), Host(name="b"))),
        ("ssh://user%40corp.test@[2001:db8::7]:2222", (Host(name="2001:db8::7", user="user@corp.test", port=2222),)),
        ("u@c[08-10]:2222", tuple(Host(name=name, user="u", port=2222) for name in ("c08", "c09", "c10"))),
        ("a,c[1,3-4],[::1]", tuple(Host(name=name) for name in ("a", "c1", "c3", "c4", "::1"))),
        ("ssh://r[1-2]n[1-2].test", tuple(Host(name=f"r{r}n{n}.test") for r in (1, 2) for n in (1, 2))),
    ],
)
def test_a_list_takes_what_ssh_and_slurm_users_write(text: str, found: tuple[Host, ...]) -> None:
    assert hosts(text) == found


def test_a_file_takes_ranges_too() -> None:
    text = '[[host]]\nname = "c[1-2]"\naddress = "192.0.2.[11-12]"\ncores = 2\n[[host]]\nname = "d[01-02]"\n'
    assert parse(text, "h.toml") == (
        Host(name="c1", address="192.0.2.11", cores=2),
        Host(name="c2", address="192.0.2.12", cores=2),
        Host(name="d01"),
        Host(name="d02"),
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
        ("ssh://h/path", "'ssh://h/path' is not a host"),
        ("ssh://u:secret@h", "ssh://…@h has a password"),
        ("ssh://h:0", "host h: port 0 is not in 1..65535"),
        ("c[20-01]", "'c[20-01]': the range 20-01 is empty"),
        ("c[1-99999]", "'c[1-99999]': the range 1-99999 has more than 10000 hosts"),
        ("r[1-200]c[1-200]", "'r[1-200]c[1-200]' stands for 40000 hosts"),
        ("c[1-", "'c[1-' is not a host"),
        ("c[a-d]", "'c[a-d]' is not a host"),
        ("c[1-3],c2", "--hosts: two hosts have the name 'c2'"),
        ("::1", "'::1' is an IPv6 address without brackets"),
        ("fe80::1%eth0", "'fe80::1%eth0' is an IPv6 address without brackets"),
        ("alice@2001:db8::7", "'2001:db8::7' is an IPv6 address without brackets"),
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
        (f"{ONE}port = true", "h.toml: host 1: port must be a whole number, got true"),
        (f"{ONE}port = -1", "h.toml: host 1: host a: port -1 is not in 1..65535"),
        (f"{ONE}cores = -1", "h.toml: host 1: host a: cores must be at least 1, got -1"),
        (f"{ONE}bind = 'x y'", "h.toml: host 1: host a: bind 'x y' is not an address"),
        (f"{ONE}address = '-x'", "h.toml: host 1: host a: address '-x' is not an address"),
        (f'{ONE}command = "a\\nb"', "h.toml: host 1: host a: command 'a\\nb' holds a control character"),
        ("[[host]]\nname = '../a'", "h.toml: host 1: '../a' is not a valid host name"),
        (f'{ONE}command = "nice \'x"', 'h.toml: host 1: host a: command "nice \'x" has a quote without its end'),
        ("[[host]]\nname = 'c[1-3]'\naddress = 'd[1-2]'", "h.toml: host 1: name 'c[1-3]' stands for 3 hosts, but"),
        ("[[host]]\nname = 'c[3-1]'", "h.toml: host 1: 'c[3-1]': the range 3-1 is empty"),
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
