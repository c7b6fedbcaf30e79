"""HTTP/1.1 over TLS with --tls-resume: connections that are opened again resume the session of the last one."""

from __future__ import annotations

import ssl

import pytest

from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.model.tls import TlsSettings
from loadgen.model.units import NS_PER_S
from tests.contract.test_engine_contract import run
from tests.support import scripted
from tests.support.connect_proxy import ConnectProxy
from tests.support.engines import Played, play, python_engine
from tests.support.scripted import ScriptedServer, Writer
from tests.support.tapes import Op, make_tape
from tests.support.tls_files import TlsFiles, make_tls_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("tunnel", [False, True])
def test_connections_that_are_opened_again_resume_if_asked(
    tunnel: bool, version: str, resume: bool, files: TlsFiles
) -> None:
    resumed: list[bool] = []

    async def ends(path: str, size: int, writer: Writer) -> bool:
        resumed.append(writer.get_extra_info("ssl_object").session_reused)
        await scripted.good(path, size, writer)
        return False

    context = files.server_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]

    async def scenario() -> Played:
        async with ScriptedServer(ends, context) as server, ConnectProxy(server.port) as proxy:
            return await play(
                python_engine,
                make_tape([Op(size=100)], 1),
                [server.port],
                targets=[Target(name="t", host="localhost", port=server.port, tls=True)],
                dial=(("127.0.0.1", proxy.port if tunnel else server.port),),
                tls=TlsSettings(authorities=files.authority.read_text(), resume=resume, tunnel=tunnel),
                requests=5,
                length_ns=30 * NS_PER_S,
            )

    assert run(scenario).outcomes() == {Outcome.OK: 5}
    assert resumed == [False] + [resume] * 4
