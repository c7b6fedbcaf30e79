"""A certificate of a run, with its key and its authority: kept as one PEM file, or sent as one text."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning

from loadgen.model.errors import PlanError

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----\n.*?\n-----END \1-----\n?", re.DOTALL)
_DAMAGED = (
    ValueError,
    TypeError,  # a key with a password
    InvalidSignature,
    UnsupportedAlgorithm,
    CryptographyDeprecationWarning,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_RENEW = "make new certificates: loadgen fleet certificates DIRECTORY --workers N"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The credentials of a participant of a run, as PEM texts: the authority, its own certificate and its key."""

    ca_pem: str
    cert_pem: str
    key_pem: str = field(repr=False)
    dates: str = field(default="", compare=False)
    """When the certificate is valid, in words, if it was read."""

    def to_pem(self) -> str:
        """Return all three in one text, which is a secret."""
        return self.key_pem + self.cert_pem + self.ca_pem

    def write(self, path: Path) -> None:
        """Write all three to one file that only this user may read.  Raises PlanError."""
        try:
            path.unlink(missing_ok=True)  # an existing file may be readable for others
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(self.to_pem())
        except OSError as error:
            raise PlanError(f"the certificate {path} cannot be written: {error.strerror}") from error


def parse(text: str, source: str, now: datetime | None = None) -> Credentials:
    """Read what :meth:`Credentials.to_pem` returned, in any order; `source`, its file, is named in messages.

    Raises PlanError if it is something else, if the parts do not belong together, or if it is not valid at `now`.
    """
    named = f"the certificate {source}" if source else "the certificate"
    source = source or "what the coordinator sent"
    blocks = [(found.group(1), found.group(0)) for found in _BLOCK.finditer(text.replace("\r\n", "\n"))]
    keys = [block for kind, block in blocks if kind.endswith("PRIVATE KEY")]
    certificates = [block for kind, block in blocks if kind == "CERTIFICATE"]
    if len(keys) != 1 or len(certificates) != 2:
        raise PlanError(
            f"{source} is not a certificate of loadgen: it has {len(keys)} private keys and {len(certificates)} "
            "certificates, not 1 and 2",
            hint=_RENEW,
        )
    try:
        own, authority = sorted(_read_all(certificates), key=lambda one: one.signs)
        secret = serialization.load_pem_private_key(keys[0].encode(), None)
        own.certificate.verify_directly_issued_by(authority.certificate)
        together = authority.signs and secret.public_key() == own.certificate.public_key()
        begins, ends = own.certificate.not_valid_before_utc, own.certificate.not_valid_after_utc
    except _DAMAGED as error:
        why = (
            "it was not issued by the authority in the same file" if isinstance(error, InvalidSignature) else str(error)
        )
        raise PlanError(f"{source} is not a certificate of loadgen: {' '.join(why.split())}", hint=_RENEW) from error
    if not together:
        raise PlanError(f"{source} is not a certificate of loadgen: its parts do not match", hint=_RENEW)
    now = now or datetime.now(UTC)
    dates = f"valid from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC"
    here = f"here it is {now:%Y-%m-%d %H:%M}"
    if now > ends:
        raise PlanError(f"{named} expired: it was {dates}, but {here}", hint=_RENEW)
    if now < begins:
        raise PlanError(f"{named} is not valid yet: it is {dates}, but {here}", hint="set the clock of this machine")
    return Credentials(ca_pem=authority.pem, cert_pem=own.pem, key_pem=keys[0], dates=dates)


def load(path: Path) -> Credentials:
    """Read the credentials in a file.  Raises PlanError in one line if they cannot be used."""
    try:
        return parse(path.read_text(encoding="ascii"), str(path))
    except OSError as error:
        raise PlanError(f"the certificate {path} cannot be read: {error.strerror}", hint=_RENEW) from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is not a certificate of loadgen: it is not text", hint=_RENEW) from error


@dataclass(frozen=True, slots=True)
class _Read:
    certificate: x509.Certificate
    pem: str
    signs: bool


def _read_all(pems: Iterable[str]) -> list[_Read]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)  # our certificates cause no such warning
        return [_read(pem) for pem in pems]


def _read(pem: str) -> _Read:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return _Read(certificate, pem, certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
