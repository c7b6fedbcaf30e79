"""HTTP/2 over TLS with --tls-resume: connections that are opened again resume the session of the last one."""

from __future__ import annotations

import ssl

import pytest

from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.units import NS_PER_S
from tests.support.http2_play import by_http2, only_good
from tests.support.http2_server import Client, Http2Server, Request, good
from tests.support.tls_files import TlsFiles, make_tls_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_connections_that_are_opened_again_resume_if_asked(
    resume: bool, version: str, files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    resumed: list[bool] = []

    async def ends(client: Client, stream: int, request: Request) -> None:
        resumed.append(client.writer.get_extra_info("ssl_object").session_reused)
        await good(client, stream, request)
        client.goaway(stream)
        client.writer.close()

    context = files.server_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    played, server = by_http2(
        server=Http2Server(ends, context),
        tls=True,
        resume=resume,
        slots=1,
        streams=1,
        requests=5,
        length_ns=20 * NS_PER_S,
    )
    assert only_good(played) == 5
    assert len(server.clients) == 5
    assert resumed == [False] + [resume] * 4


def test_a_plan_may_ask_for_both() -> None:
    plan = HttpPlan(requests=(HttpRequest(url="https://h/"),), http2=True, tls_resume=True)
    assert HttpPlan.from_dict(plan.to_dict()) == plan
