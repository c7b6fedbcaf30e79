"""The URLs of requests and the hosts of targets: what is understood, what is sent, and what is refused in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.target import Target
from loadgen.model.url import Url, complete
from workloads.http.compile import compile_http


def url(**parts: object) -> Url:
    return Url(**{"tls": False, "host": "a", "port": 80, "path": "/", **parts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("http://a", url()),
        ("https://a.b/c?d=e#f", url(tls=True, host="a.b", port=443, path="/c?d=e")),
        ("HTTP://A/B", url(path="/B")),
        ("http://a:/", url()),
        ("http://a./", url(host="a.")),
        ("http://a?x=1", url(path="/?x=1")),
        # without a scheme, as in curl
        ("a", url()),
        ("localhost:8080/x", url(host="localhost", port=8080, path="/x")),
        ("a/x?to=https://b", url(path="/x?to=https://b")),
        ("http:8080/x", url(host="http", port=8080, path="/x")),
        # IPv6, with a zone as RFC 6874 and as people write it
        ("http://[::1]:8080/", url(host="::1", port=8080)),
        ("http://[FE80::1%25Eth0]/", url(host="fe80::1%Eth0")),
        ("http://[fe80::1%eth0]:81/", url(host="fe80::1%eth0", port=81)),
        # what is sent is what was given
        ("http://a/?", url(path="/?")),
        ("http://a?", url(path="/?")),
        ("http://a/x??y=?", url(path="/x??y=?")),
        ("http://a//b/../c/./d", url(path="//b/../c/./d")),
        ("http://a/%41%2f%zz100%", url(path="/%41%2f%zz100%")),
        ('http://a/{{n}}|"<>^`\\', url(path='/{{n}}|"<>^`\\')),
        ("http://a/ä?ö", url(path="/%C3%A4?%C3%B6")),
        ("http://a/\u00a0%20", url(path="/%C2%A0%20")),
        # names that are not ASCII; IDNA 2008
        ("http://Bücher.example/", url(host="xn--bcher-kva.example")),
        ("http://faß.example/", url(host="xn--fa-hia.example")),
        ("http://ex%61mple/", url(host="example")),
        # user and password
        ("http://u%40v:p%3Aq@a/", url(user="u%40v:p%3Aq")),
        ("http://@a/", url()),
    ],
)
def test_urls_are_parsed(text: str, parsed: Url) -> None:
    assert Url.parse(text) == parsed
    assert Url.parse(complete(text)) == parsed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no host"),
        ("/path", "it has no host"),
        ("http://", "it has no host"),
        ("http://:80/", "it has no host"),
        ("ftp://a/", "the scheme must be http or https, got ftp"),
        ("http:/a/b", "need two slashes"),
        ("https:a", "need two slashes"),
        ("unix:/run/s.sock", "unix sockets are not supported"),
        ("http+unix://%2Frun%2Fs.sock/x", "unix sockets are not supported"),
        ("http://a:0/", "the port must be 1 to 65535"),
        ("http://a:99999/", "the port must be 1 to 65535"),
        ("http://a:99999999999999999999/", "the port must be 1 to 65535"),
        ("http://a:8o/", "'8o' is not a port"),
        ("http://a:٣/", "'٣' is not a port"),
        ("http://::1/", "an IPv6 address needs brackets"),
        ("::1", "an IPv6 address needs brackets"),
        ("http://[::1/", "its brackets hold no host"),
        ("http://[]/", "it has no host"),
        ("http://[::g]/", "'::g' is not an IPv6 address"),
        ("http://[192.0.2.1]/", "'192.0.2.1' is not an IPv6 address"),
        ("http://[fe80::1%25]/", "the zone after % is empty"),
        ("http://a..b/", "a part between two dots is empty"),
        ("http://.a/", "a part between two dots is empty"),
        (f"http://{'a' * 64}.b/", "a part has 64 characters; at most 63"),
        (f"http://{'a.' * 127}b/", "it has 255 characters; a name has at most 253"),
        (f"http://{'ä' * 63}.b/", "it is not a name of the internet"),
        ("http://☃☃.example/", "it is not a name of the internet"),
        ("http://%FF/", "its host is not UTF-8"),
        ("http://a%2Fb/", "'/' is not allowed in a host"),
        ("http://a b/", "' ' is not allowed in it"),
        ("http://a/b c", "' ' is not allowed in it"),
        ("http://a/\r\nX: y", "'\\r' is not allowed in it"),
        ("http://a/\udcff", "'\\udcff' is not allowed in it"),
        ("http://a/\x7f", "'\\x7f' is not allowed in it"),
    ],
)
def test_other_texts_are_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(PlanError) as caught:
        Url.parse(text)
    assert repr(text) in caught.value.message
    assert why in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@given(st.text(max_size=40) | st.text(alphabet="http:/[]@%?#.a1 \x00é\udcff", max_size=30))
def test_any_text_is_a_url_or_a_plan_error(text: str) -> None:
    try:
        parsed = Url.parse(text)
    except PlanError:
        return
    assert parsed.path.isascii()
    assert parsed.host.isascii()
    assert not any(char <= " " for char in parsed.path)
    assert HttpPlan(requests=(HttpRequest(url=text),)).targets  # what a URL names is a target


def test_the_plan_holds_whole_urls() -> None:
    assert HttpRequest(url="a/b").url == "http://a/b"
    assert HttpRequest(url="https://a/b").url == "https://a/b"


def test_servers_do_not_see_the_zone_of_their_address() -> None:
    (target,) = HttpPlan(requests=(HttpRequest(url="https://[fe80::1%25eth0]/"),)).targets
    assert (target.host, target.authority, target.server_name) == ("fe80::1%eth0", "[fe80::1]:443", "fe80::1")
    assert Target(name="a", host="a.example.", port=80).server_name == "a.example"


@pytest.mark.parametrize(
    ("written", "headers", "sent"),
    [
        ("http://user:pass@a/", (), b"Authorization: Basic dXNlcjpwYXNz\r\n"),
        ("http://u%40v:p%3Aq@a/", (), b"Authorization: Basic dUB2OnA6cQ==\r\n"),
        ("http://user@a/", (), b"Authorization: Basic dXNlcjo=\r\n"),
        ("http://user:pass@a/", ("Authorization: Bearer x",), b"Authorization: Bearer x\r\n"),
    ],
)
def test_a_user_in_a_url_is_basic_authentication(written: str, headers: tuple[str, ...], sent: bytes) -> None:
    tape = compile_http(HttpPlan(requests=(HttpRequest(url=written, headers=headers),)))
    rest = tape.strings[tape.ops[0]["rest"]]
    assert sent in rest
    assert rest.count(b"Authorization") == 1


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "x/y", "http://a", "a:b", "fe80::1%", "a b", "☃"])
def test_hosts_of_targets_are_checked_in_the_same_way(host: str) -> None:
    with pytest.raises(PlanError, match="is not the name or the address of a machine"):
        Target(name="t", host=host, port=80)


def test_hosts_of_targets_become_ascii() -> None:
    assert Target(name="t", host="Bücher.example", port=80).authority == "xn--bcher-kva.example:80"
