"""Keys are passed to OpenSSL without being written to a disk."""

from __future__ import annotations

import contextlib
import gc
import ssl
import tempfile
from pathlib import Path

import pytest

from coordinator.fleet.certificates import Authority
from loadgen.agent.credentials import Credentials
from loadgen.agent.dask.security import security
from loadgen.model.errors import PlanError


def open_keys() -> int:
    links = []
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            links.append(str(one.readlink()))
    return sum("loadgen-certificate" in link for link in links)


def test_a_key_is_in_no_named_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))  # writing to this directory would fail
    credentials = Authority().issue("c07")
    gc.collect()
    before = open_keys()
    made = security(credentials)
    for role in ("client", "scheduler", "worker"):
        assert isinstance(made.get_connection_args(role)["ssl_context"], ssl.SSLContext)  # type: ignore[no-untyped-call]
    assert "PRIVATE KEY" not in repr(made)
    del made
    gc.collect()
    assert open_keys() == before


def test_an_invalid_key_is_refused_in_one_line() -> None:
    good = Authority().issue("c07")
    with pytest.raises(PlanError, match="the certificate cannot be used: "):
        security(Credentials(ca_pem=good.ca_pem, cert_pem=good.cert_pem, key_pem=good.ca_pem))


def test_a_key_is_not_printed_by_accident() -> None:
    assert "PRIVATE KEY" not in repr(Authority().issue("c07"))
