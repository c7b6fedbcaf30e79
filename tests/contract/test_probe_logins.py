"""A stock iperf3 server that demands a login, and what other servers on the port answer."""

from __future__ import annotations

import base64
import hashlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1

from loadgen.model.errors import PlanError
from loadgen.model.probe import PASSWORD_VARIABLE, Direction
from loadgen.model.units import NS_PER_S
from loadgen.probe.api import ProbeError
from loadgen.probe.iperf3 import State
from loadgen.probe.login import Login, LoginError, Padding
from loadgen.probe.strangers import who_says
from tests.support.lab import IPERF3, needs_iperf3
from tests.support.probe_steps import receive_cookie, receive_parameters
from tests.support.probes import HOST, Peer, probe, run, scripted_server, short, until


@dataclass(frozen=True)
class Keys:
    """A server's key pair: the private key, its PEM file and that of the public key."""

    private: rsa.RSAPrivateKey
    private_file: Path
    public_file: Path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    directory = tmp_path_factory.mktemp("keys")
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private_file, public_file = directory / "private.pem", directory / "public.pem"
    private_file.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    public_file.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return Keys(private, private_file, public_file)


@pytest.fixture
def guarded(keys: Keys, tmp_path: Path) -> Iterator[int]:
    """The port of `iperf3 -s` with the user anna, whose password is "secret-word"."""
    assert IPERF3 is not None
    users = tmp_path / "users.csv"
    users.write_text(f"anna,{hashlib.sha256(b'{anna}secret-word').hexdigest()}\n")
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    login = ("--rsa-private-key-path", str(keys.private_file), "--authorized-users-path", str(users))
    command = [IPERF3, "-s", "-p", str(port), *login]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def listens() -> bool:
            return f":{port:04X} 00000000" in Path(f"/proc/{process.pid}/net/tcp").read_text() or (
                f":{port:04X} 0000000000000000" in Path(f"/proc/{process.pid}/net/tcp6").read_text()
            )

        try:
            run(lambda: until(listens))
            yield port
        finally:
            process.terminate()


@needs_iperf3
def test_a_login_opens_a_guarded_server(guarded: int, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret-word")
    result = run(lambda: probe(short(username="anna", rsa_public_key=str(keys.public_file)), guarded))
    assert result.streams[0].received_bytes > 0


@needs_iperf3
def test_a_guarded_server_without_a_login_says_what_to_give(guarded: int) -> None:
    with pytest.raises(LoginError, match="requires a user name and a password") as caught:
        run(lambda: probe(short(), guarded))
    assert "--username" in caught.value.hint


@needs_iperf3
@pytest.mark.parametrize(("user", "password"), [("anna", "wrong"), ("otto", "secret-word"), ("anna", "")])
def test_a_wrong_login_is_said(
    guarded: int, keys: Keys, monkeypatch: pytest.MonkeyPatch, user: str, password: str
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, password)
    with pytest.raises(LoginError, match=f"does not accept the login of '{user}'"):
        run(lambda: probe(short(username=user, rsa_public_key=str(keys.public_file)), guarded))


def test_a_missing_password_or_key_is_said(keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(PlanError, match="no password for the user 'anna'"):
        run(lambda: probe(short(username="anna", rsa_public_key=str(keys.public_file)), 1))
    monkeypatch.setenv(PASSWORD_VARIABLE, "x")
    with pytest.raises(PlanError, match="cannot read the key"):
        run(lambda: probe(short(username="anna", rsa_public_key=str(tmp_path / "none.pem")), 1))
    with pytest.raises(PlanError, match="a login needs both"):
        short(username="anna")


def test_the_other_padding_is_tried_when_the_first_is_refused(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """iperf3 from 3.17 on decrypts with OAEP."""
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret-word")
    tokens: list[str] = []

    async def refuse(peer: Peer) -> None:
        tokens.append((await receive_parameters(peer))["authtoken"])
        peer.send(State.SERVER_ERROR, bytes.fromhex("0000008e"))  # and no errno
        await peer.close()

    async def scenario() -> None:
        async with scripted_server(refuse, stream=refuse) as port:
            await probe(short(username="anna", rsa_public_key=str(keys.public_file)), port)

    with pytest.raises(LoginError):
        run(scenario)
    oaep: Any = padding.OAEP(mgf=padding.MGF1(SHA1()), algorithm=SHA1(), label=None)
    first, second = (base64.b64decode(token) for token in tokens)
    for text in (keys.private.decrypt(first, padding.PKCS1v15()), keys.private.decrypt(second, oaep)):
        assert text.decode().startswith("user: anna\npwd:  secret-word\nts:   ")


def test_keys_that_cannot_be_used_are_said(keys: Keys) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = curve.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(PlanError, match="no RSA key"):
        Login("anna", "x", pem).token(Padding.OAEP, 0)
    with pytest.raises(PlanError, match="no public key in PEM format"):
        Login("anna", "x", b"nonsense").token(Padding.OAEP, 0)
    with pytest.raises(PlanError, match="too short for this user name"):
        Login("anna", "x" * 300, keys.public_file.read_bytes()).token(Padding.OAEP, 0)


# Servers of other protocols


@pytest.mark.parametrize(
    ("said", "who"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "a web server"),
        (b"<html>", "a web server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "a server that speaks TLS"),
        (b"220 mail.example.org ESMTP\r\n", "a mail or FTP server"),
        (b"-ERR unknown command\r\n", "a Redis server"),
        (b"J\x00\x00\x00\x0a8.0.36\x00", r"something else, which sent b'J\\x00"),
    ],
)
def test_another_server_on_the_port_is_named(said: bytes, who: str) -> None:
    async def script(peer: Peer) -> None:
        await receive_cookie(peer)
        peer.send(said)
        await peer.ended()

    async def scenario() -> None:
        async with scripted_server(script) as port:
            await probe(short(), port, patience_ns=NS_PER_S)

    with pytest.raises(ProbeError, match=f"is no iperf3 server but {who}") as caught:
        run(scenario)
    assert "5201" in caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "is no iperf3 server but a web server"),
        (b"<html>400", "is no iperf3 server but a web server"),
        (b"500 what?\r\n", "is no iperf3 server but something else"),
        (b"", "is probably no iperf3 server, or it hangs: it accepted the connection, but did not answer for 0.2 s"),
    ],
)
def test_a_server_that_waits_for_the_end_of_a_request_is_named(said: bytes, message: str) -> None:
    async def script(peer: Peer) -> None:
        await receive_cookie(peer)
        await peer.reader.readuntil(b"\r\n\r\n")
        if said:
            peer.send(said)
        await peer.ended()

    async def scenario() -> None:
        async with scripted_server(script) as port:
            await probe(short(), port, patience_ns=NS_PER_S // 5)

    with pytest.raises(ProbeError, match=message):
        run(scenario)


def test_what_a_stranger_sends_is_shown_without_control_characters() -> None:
    assert who_says(b"\x1b[2J" + b"x" * 100).isprintable()


# Servers that are too old for --bidir


def test_a_server_that_begins_with_half_of_the_streams_is_too_old_for_bidir() -> None:
    """iperf3 before 3.7 ignores the parameter `bidirectional`, and refuses what it takes for another test."""

    async def old(peer: Peer) -> None:
        await receive_parameters(peer)
        peer.send(State.CREATE_STREAMS)

    seen: list[Peer] = []

    async def stream(peer: Peer) -> None:
        seen.append(peer)
        await receive_cookie(peer)
        if len(seen) > 1:
            peer.send(State.ACCESS_DENIED)
            await peer.close()
        else:
            control[0].send(State.TEST_START, State.TEST_RUNNING)
            await peer.ended()

    control: list[Peer] = []

    async def first(peer: Peer) -> None:
        control.append(peer)
        await old(peer)

    async def scenario() -> None:
        async with scripted_server(first, stream) as port:
            await probe(short(direction=Direction.BIDIR, duration_ns=3 * NS_PER_S), port)

    with pytest.raises(ProbeError, match=r"is an iperf3 older than 3\.7") as caught:
        run(scenario)
    assert "--receive --send" in caught.value.hint
