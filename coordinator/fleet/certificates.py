"""The certificate authority of one run.  It issues one certificate to each participant.

The authority's private key is never written anywhere, so nobody can issue more certificates once it is gone.  Whoever
holds a certificate may run code on those who trust the same authority (Dask's messages are pickles), so all
certificates expire after a day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from loadgen.agent.credentials import Credentials

LIFETIME = timedelta(hours=24)
"""How long certificates are valid."""

_EARLIER = timedelta(hours=1)  # another machine's clock may be behind ours
_MAX_NAME_CHARS = 64  # of a common name (X.520)


class Authority:
    """Issues certificates that trust each other, and no others."""

    def __init__(self, now: datetime | None = None) -> None:
        """`now` is the time from which the certificates are valid, with its time zone; the present by default."""
        self._now = now or datetime.now(UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        # Authorities need different names; otherwise a certificate of another run is refused as a bad signature.
        self._name = _named(f"loadgen run {x509.random_serial_number():x}"[:_MAX_NAME_CHARS])
        self._certificate = (
            self._begun(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, name: str) -> Credentials:
        """Issue a certificate for `name`, which is valid for clients and for servers."""
        key = ec.generate_private_key(ec.SECP256R1())
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            self._begun(_named(name[:_MAX_NAME_CHARS]), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(both, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Credentials(ca_pem=_pem(self._certificate), cert_pem=_pem(certificate), key_pem=secret.decode())

    def _begun(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _EARLIER)
            .not_valid_after(self._now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _usage(*, signs: bool) -> x509.KeyUsage:
    """Return the key usage of an authority, which `signs` certificates, or of a participant in TLS."""
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
