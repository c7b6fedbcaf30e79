from __future__ import annotations

import contextlib
import re
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.fleet.certificates import LIFETIME, Authority
from loadgen.agent.credentials import Credentials, load, parse
from loadgen.model.errors import PlanError

AUTHORITY = Authority()
ONE = AUTHORITY.issue("one")
OTHER = AUTHORITY.issue("other")
STRANGER = Authority().issue("one")


def context(of: Credentials, directory: Path, purpose: ssl.Purpose) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cadata=of.ca_pem)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 has it
    path = directory / "own.pem"
    path.write_text(of.cert_pem + of.key_pem)
    made.load_cert_chain(path)
    return made


def shake_hands(client: Credentials, server: Credentials, directory: Path) -> None:
    """Perform a TLS handshake in memory.  Raises SSLError when one side refuses the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context(client, directory, ssl.Purpose.SERVER_AUTH).wrap_bio(to_client, to_server),
        context(server, directory, ssl.Purpose.CLIENT_AUTH).wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in [*ends, *ends]:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_certificates_of_one_run_trust_each_other(tmp_path: Path) -> None:
    shake_hands(ONE, OTHER, tmp_path)


@pytest.mark.parametrize(("client", "server"), [(STRANGER, ONE), (ONE, STRANGER)])
def test_certificates_of_another_run_are_refused(client: Credentials, server: Credentials, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError, match=r"verify failed|unknown ca"):
        shake_hands(client, server, tmp_path)


def test_a_certificate_of_a_run_cannot_issue_others(tmp_path: Path) -> None:
    false = Credentials(ca_pem=ONE.cert_pem, cert_pem=OTHER.cert_pem, key_pem=OTHER.key_pem)
    with pytest.raises(PlanError, match="not a certificate of loadgen"):
        parse(false.to_pem(), "x.pem")


def test_a_written_certificate_reads_back_and_is_secret(tmp_path: Path) -> None:
    path = tmp_path / "one.pem"
    path.write_text("somebody else's")
    path.chmod(0o666)
    ONE.write(path)
    assert load(path) == ONE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_order_in_a_file_does_not_matter() -> None:
    assert parse(ONE.ca_pem + "a comment\n" + ONE.cert_pem + ONE.key_pem, "x.pem") == ONE
    assert parse(ONE.to_pem().replace("\n", "\r\n"), "x.pem") == ONE


def test_an_expired_certificate_is_reported() -> None:
    then = datetime(2026, 3, 1, 12, tzinfo=UTC)
    text = Authority(then).issue("a").to_pem()
    parse(text, "a.pem", then - timedelta(minutes=59))  # the clock of the other machine is behind
    parse(text, "a.pem", then + LIFETIME)
    with pytest.raises(
        PlanError,
        match=r"a\.pem expired: it was valid from 2026-03-01 11:00 to 2026-03-02 12:00 UTC, but here it is 2026-",
    ):
        parse(text, "a.pem", then + LIFETIME + timedelta(seconds=1))
    with pytest.raises(
        PlanError, match=r"is not valid yet: it is valid from 2026-03-01 11:00 to .*, but here it is 2026-03-01 10:59"
    ):
        parse(text, "a.pem", then - timedelta(minutes=61))


def changed(text: str) -> str:
    """Return the text with one byte changed in the middle of each PEM block."""
    return re.sub(r"(?<=\n[A-Za-z0-9+/]{30})[A-Za-z0-9+/]", lambda found: "B" if found[0] == "A" else "A", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ONE.ca_pem + ONE.cert_pem,
        ONE.to_pem() + OTHER.cert_pem,
        ONE.ca_pem + ONE.ca_pem + ONE.key_pem,
        ONE.cert_pem + ONE.cert_pem + ONE.key_pem,
        ONE.ca_pem + ONE.cert_pem + OTHER.key_pem,
        STRANGER.ca_pem + ONE.cert_pem + ONE.key_pem,
        ONE.ca_pem + changed(ONE.cert_pem) + ONE.key_pem,
        ONE.ca_pem + ONE.cert_pem + changed(ONE.key_pem),
        ONE.to_pem()[:-40],
    ],
    ids=[
        "nothing", "rubbish", "no key", "three", "authority twice", "own twice", "another's key", "another authority",
        "changed", "changed key", "cut",
    ],
)  # fmt: skip
def test_invalid_certificates_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanError, match="not a certificate of loadgen") as caught:
        parse(text, "x.pem")
    assert "\n" not in caught.value.message
    assert caught.value.hint


@given(st.integers(0, len(ONE.to_pem()) - 1), st.characters(codec="ascii"))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_or_still_valid(at: int, sign: str) -> None:
    text = ONE.to_pem()
    with contextlib.suppress(PlanError):
        parse(text[:at] + sign + text[at + 1 :], "x.pem")


@pytest.mark.parametrize(
    ("content", "why"), [(None, "cannot be read: No such file"), (b"\xff", "it is not text"), (b"x", "0 private keys")]
)
def test_an_unusable_file_is_named(content: bytes | None, why: str, tmp_path: Path) -> None:
    path = tmp_path / "c.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PlanError, match=rf"c\.pem.*{why}"):
        load(path)


def test_a_missing_directory_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"c\.pem cannot be written: No such file"):
        ONE.write(tmp_path / "none" / "c.pem")
