"""Authorities, client certificates and server names over TLS (the Python engine)."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from deploy.vms.reach import reach
from loadgen.engine.tls import check_settings
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.model.tls import TlsSettings
from loadgen.model.units import NS_PER_S
from tests.contract.test_engine_contract import run
from tests.support import scripted
from tests.support.engines import Played, play, python_engine
from tests.support.scripted import ScriptedServer
from tests.support.tapes import Op, make_tape
from tests.support.tls_files import TlsFiles, make_tls_files


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """Files of a server whose name is not the address that is dialed."""
    return make_tls_files(tmp_path_factory.mktemp("shop"), name="shop.example")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("client"), name="client")


def played(context: ssl.SSLContext, settings: TlsSettings) -> Played:
    async def scenario() -> Played:
        async with ScriptedServer(scripted.good, context) as server:
            target = Target(name="t", host="127.0.0.1", port=server.port, tls=True)
            tape = make_tape([Op(size=100)], 2)
            return await play(
                python_engine, tape, [server.port], targets=[target], tls=settings, requests=6, length_ns=20 * NS_PER_S
            )

    return run(scenario)


def test_the_given_authorities_and_the_given_name_are_verified(shop: TlsFiles) -> None:
    names: list[str | None] = []
    context = shop.server_context()
    context.sni_callback = lambda sock, name, own: names.append(name)
    settings = TlsSettings(authorities=shop.authority.read_text(), name="shop.example")
    assert played(context, settings).outcomes() == {Outcome.OK: 6}
    assert set(names) == {"shop.example"}
    other = TlsSettings(authorities=shop.authority.read_text(), name="other.example")
    assert played(context, other).outcomes() == {Outcome.BAD_TLS: 6}
    assert played(context, TlsSettings(name="shop.example")).outcomes() == {Outcome.BAD_TLS: 6}


@pytest.mark.parametrize("together", [False, True])
def test_the_client_presents_its_certificate(shop: TlsFiles, client: TlsFiles, together: bool) -> None:
    context = shop.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client.authority)
    certificate, key = client.certificate.read_text(), client.key.read_text()
    settings = TlsSettings(
        authorities=shop.authority.read_text(),
        name="shop.example",
        certificate=certificate + key if together else certificate,
        key="" if together else key,
    )
    assert played(context, settings).outcomes() == {Outcome.OK: 6}
    without = TlsSettings(authorities=shop.authority.read_text(), name="shop.example")
    assert Outcome.OK not in played(context, without).outcomes()


def test_the_check_before_a_run_uses_the_same_settings(shop: TlsFiles) -> None:
    settings = TlsSettings(authorities=shop.authority.read_text(), name="shop.example")

    async def scenario(given: TlsSettings) -> list[str]:
        async with ScriptedServer(scripted.good, shop.server_context()) as server:
            target = Target(name="t", host="127.0.0.1", port=server.port, tls=True)
            return await reach([(target, target)], verify=True, settings=given)

    assert asyncio.run(scenario(settings)) == []
    with pytest.raises(TargetError) as caught:
        asyncio.run(scenario(TlsSettings()))
    assert "--cacert" in caught.value.hint


def settings_of(directory: Path, kind: str) -> TlsSettings:
    files = make_tls_files(directory)
    certificate, key = files.certificate.read_text(), files.key.read_text()
    foreign = make_tls_files(directory, name="foreign").key.read_text()
    return {
        "authorities": TlsSettings(authorities="no certificate"),
        "empty authorities": TlsSettings(authorities="\n"),
        "no key": TlsSettings(certificate=certificate),
        "another key": TlsSettings(certificate=certificate, key=foreign),
        "not a key": TlsSettings(certificate=certificate, key="x"),
        "not a certificate": TlsSettings(certificate=key, key=key),
        "encrypted": TlsSettings(
            certificate=certificate, key="-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----"
        ),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("authorities", "--cacert"),
        ("empty authorities", "--cacert"),
        ("no key", "--key"),
        ("another key", "not that of the certificate"),
        ("not a key", "--cert"),
        ("not a certificate", "--cert"),
        ("encrypted", "openssl pkey"),
    ],
)
def test_files_that_cannot_be_used_are_named_in_one_line(tmp_path: Path, kind: str, word: str) -> None:
    with pytest.raises(PlanError) as caught:
        check_settings(settings_of(tmp_path, kind))
    assert word in f"{caught.value.message} {caught.value.hint}"
    assert "\n" not in caught.value.message
