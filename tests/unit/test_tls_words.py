"""Failures of TLS in words: real handshakes in memory, and what they say."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from loadgen.engine.tls import client_context
from loadgen.engine.tls_words import tls_words
from loadgen.engine.trust_store import check_trust_store
from loadgen.model.errors import PlanError
from tests.support.tls_files import TlsFiles, make_tls_files

Change = Callable[[ssl.SSLContext], None]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def failure(client: ssl.SSLContext, server: ssl.SSLContext, host: str = "localhost") -> tuple[str, str]:
    """The words for the client's failure: in the handshake, or at the first read after it."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        try:
            ours.do_handshake()
            ours.read(1)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return tls_words(error)
        with contextlib.suppress(ssl.SSLError):
            theirs.do_handshake()
    raise AssertionError("nothing failed")


def trusting(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.authority)
    context.set_alpn_protocols(["http/1.1"])
    return context


def wants_certificate(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_REQUIRED


def old_only(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def test_a_client_certificate_is_required(files: TlsFiles) -> None:
    server = files.server_context()
    wants_certificate(server)
    words, hint = failure(trusting(files), server)
    assert words == "the server requires a client certificate"
    assert "--cert FILE --key FILE" in hint
    old_only(server)
    words, hint = failure(trusting(files), server)
    assert "client certificate" in words
    assert "--cert FILE --key FILE" in hint


def test_no_version_in_common(files: TlsFiles) -> None:
    client, server = trusting(files), files.server_context()
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    old_only(server)
    assert failure(client, server)[0] == "client and server have no version of TLS in common"


def test_no_cipher_in_common(files: TlsFiles) -> None:
    client, server = trusting(files), files.server_context()
    for context in (client, server):
        old_only(context)
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    server.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    assert "no common cipher" in failure(client, server)[0]


def test_an_unknown_authority_and_a_wrong_name(files: TlsFiles, tmp_path: Path) -> None:
    others = make_tls_files(tmp_path, name="example.org")
    words, hint = failure(trusting(others), files.server_context())
    assert words.startswith("its certificate was signed by an unknown authority (")
    assert "--cacert FILE" in hint
    assert "--insecure" in hint
    words, _ = failure(trusting(files), files.server_context(), host="example.org")
    assert words.startswith("its certificate is for another name (")
    words, _ = failure(trusting(files), files.server_context(), host="127.0.0.9")
    assert words.startswith("its certificate is not for this IP address (")


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail ready\r\n"]
)
def test_a_server_without_tls(reply: bytes) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(verify=False).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    incoming.write(reply)
    with pytest.raises(ssl.SSLError) as caught:
        tls.do_handshake()
    words, hint = tls_words(caught.value)
    assert words == "the server does not speak TLS on this port"
    assert hint.startswith("use http://")


ALERTS = {
    10: "unexpected message",
    40: "it requires a client certificate",
    42: "does not accept the client certificate",
    45: "the client certificate has expired",
    48: "does not know the authority of the client certificate",
    49: "denied access",
    70: "no version of TLS in common",
    71: "stronger ciphers",
    80: "internal error",
    112: "no site of this name",
    116: "requires a client certificate",
    120: "accepts no protocol",
}


HINTS = {
    **dict.fromkeys((40, 42, 45, 48, 49, 116), "--cert FILE --key FILE"),
    **dict.fromkeys((80, 112), "--sni NAME"),
    120: "--http2",
}


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_of_a_server_has_words(alert: int) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(verify=False).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    incoming.write(bytes([21, 3, 3, 0, 2, 2, alert]))
    with pytest.raises(ssl.SSLError) as caught:
        tls.do_handshake()
    words, hint = tls_words(caught.value)
    assert ALERTS[alert] in words
    assert HINTS.get(alert, "") in hint
    assert "_" not in words
    assert "ssl.c" not in words


def test_a_wrong_trust_store_is_refused(files: TlsFiles, tmp_path: Path) -> None:
    check_trust_store({})
    check_trust_store({"SSL_CERT_FILE": str(files.authority), "SSL_CERT_DIR": str(tmp_path)})
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    for value, said in (("/no/such/file", "no such file"), ("", "no such file"), (str(empty), "no certificate")):
        with pytest.raises(PlanError, match=said) as caught:
            check_trust_store({"SSL_CERT_FILE": value})
        assert "SSL_CERT_FILE=" in caught.value.message
        assert caught.value.hint
    with pytest.raises(PlanError, match="is not a directory"):
        check_trust_store({"SSL_CERT_DIR": str(empty)})


def test_clients_that_verify_check_the_trust_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    client_context(verify=False)
    with pytest.raises(PlanError):
        client_context(verify=True)


def test_clients_that_trust_all_servers_read_no_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    context = client_context(verify=False)
    assert context.cert_store_stats()["x509"] == 0
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert context.keylog_filename == str(keys)
    assert client_context(verify=True).cert_store_stats()["x509"] > 0
    assert client_context(verify=True).verify_mode is ssl.CERT_REQUIRED
