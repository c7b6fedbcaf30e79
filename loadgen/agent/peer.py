"""Says why no coordinator can be reached at an address: no name, nobody there, or somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from loadgen.model.errors import LoadgenError

_BANNER_S = 1.0
_BANNER_BYTES = 200
_SHOWN_CHARS = 60
_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
_EXPIRED, _NOT_YET_VALID = 10, 9  # X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL
_OTHER_RUN = "certificates are valid for one run, and for 24 hours"
_CLOCKS = "compare the clocks of the two machines"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no coordinator.  If it is `final`, waiting does not help."""

    text: str
    final: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Ours:
    """What we show to a coordinator: a TLS context (None: no encryption), and the dates of our certificate in words."""

    context: ssl.SSLContext | None
    dates: str = ""


async def find_problem(host: str, port: int, ours: Ours, timeout_s: float) -> Problem | None:
    """Return why there is no coordinator at this address; None if there may be one."""
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            try:
                reader, writer = await _connect(host, port, ours.context)
            except TimeoutError as error:  # of the kernel
                return Problem(f"no answer: {error.strerror or error}")
            said = await reader.read(_BANNER_BYTES)
    except TimeoutError:
        if writer is None and not await _accepts(host, port, timeout_s):
            return Problem(f"no answer within {timeout_s:g} s (does a firewall drop packets?)")
        return await _who(host, port) or Problem("connections are accepted, but nothing is answered")
    except socket.gaierror as error:
        return Problem(f"there is no address for {host!r}: {error.strerror}")
    except ConnectionRefusedError:
        return Problem("nothing listens there (connection refused)")
    except ssl.SSLError as error:
        return _of_certificate(error, ours) or await _who(host, port) or Problem(f"TLS fails: {error.reason or error}")
    except OSError as error:
        return await _who(host, port) or Problem(error.strerror or str(error))
    finally:
        if writer is not None:
            writer.transport.abort()
    if not said:
        return Problem("connections are closed at once")
    return _other(said)


async def _connect(
    host: str, port: int, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if context is None:
        return await asyncio.open_connection(host, port)
    return await asyncio.open_connection(host, port, ssl=context, server_hostname=host)


async def _accepts(host: str, port: int, timeout_s: float) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
            writer.transport.abort()
            return True
    return False


def _of_certificate(error: ssl.SSLError, ours: Ours) -> Problem | None:
    """What is wrong with a certificate, ours or theirs; None if the error is another one."""
    now = f"here it is {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    dates = f"; this certificate is {ours.dates}, and {now}" if ours.dates else f"; {now}"
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
            how = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
            return Problem(f"the coordinator's certificate {how}{dates}", final=True, hint=_CLOCKS)
        return Problem(
            "it has a certificate of another run, or is another server with TLS", final=True, hint=_OTHER_RUN
        )
    reason = (error.reason or str(error)).upper()
    if "CERTIFICATE_EXPIRED" in reason:
        return Problem(f"for the coordinator, this certificate has expired{dates}", final=True, hint=_CLOCKS)
    if "BAD_CERTIFICATE" in reason:  # also what OpenSSL says to one that is not valid yet
        return Problem(f"the coordinator does not accept this certificate{dates}", final=True, hint=_CLOCKS)
    if "UNKNOWN_CA" in reason or "CERTIFICATE" in reason:
        return Problem("it does not accept this certificate, which is of another run", final=True, hint=_OTHER_RUN)
    return None


async def _who(host: str, port: int) -> Problem | None:
    """Who listens there without TLS; None if it does not say so."""
    for request in (b"", _REQUEST):
        with contextlib.suppress(OSError, TimeoutError, LoadgenError):
            async with asyncio.timeout(_BANNER_S):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(request)
                    if said := await reader.read(_BANNER_BYTES):
                        return _other(said) or Problem(
                            "a Dask scheduler without TLS listens there", final=True, hint="a coordinator uses TLS"
                        )
                finally:
                    writer.transport.abort()
    return None


def _other(said: bytes) -> Problem | None:
    """Who says that; None if it may be a coordinator."""
    line = said.partition(b"\n")[0].decode("ascii", errors="replace").strip()
    shown = "".join(char if char.isprintable() else "." for char in line)[:_SHOWN_CHARS]
    if said.startswith(b"SSH-"):
        return Problem(f"an SSH server listens there ({shown}), no coordinator", final=True, hint="check the port")
    if said.startswith(b"HTTP/"):
        return Problem(f"a web server listens there ({shown}), no coordinator", final=True, hint="check the port")
    if b"compression" in said or b"pickle-protocol" in said:  # the first message of Dask
        return None
    return Problem(
        f"another server listens there (it says {shown!r}), no coordinator", final=True, hint="check the port"
    )
