"""Failures of TLS in words: what the server sent or lacks, and what to use instead."""

from __future__ import annotations

import ssl

_NOT_TLS = ("the server does not speak TLS on this port", "use http:// if it is a plain web server")
_OLD = ("client and server have no version of TLS in common", "")
_GIVE = "give another one: --cert FILE --key FILE"
_CLIENT_CERTIFICATE = ("the server requires a client certificate", "give one: --cert FILE --key FILE")
_ALPN = (
    "the server accepts no protocol that was offered (ALPN)",
    "HTTP/1.1 is offered; for a server that speaks HTTP/2 only, give --http2",
)
_EOF = ("the server closed the connection during the handshake", "")

_REASONS = {
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "HTTP_REQUEST": _NOT_TLS,
    "RECORD_LAYER_FAILURE": _NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
    "UNKNOWN_PROTOCOL": _NOT_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD,
    "UNSUPPORTED_PROTOCOL": _OLD,
    "NO_PROTOCOLS_AVAILABLE": _OLD,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _CLIENT_CERTIFICATE,
    "SSLV3_ALERT_NO_CERTIFICATE": _CLIENT_CERTIFICATE,
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": _ALPN,
    "NO_APPLICATION_PROTOCOL": _ALPN,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": (
        "the server refused the handshake: no common cipher or protocol, or it requires a client certificate",
        "if it requires a certificate, give one: --cert FILE --key FILE",
    ),
    "NO_SHARED_CIPHER": ("client and server have no cipher in common", ""),
    "TLSV1_ALERT_UNKNOWN_CA": ("the server does not know the authority of the client certificate", _GIVE),
    "SSLV3_ALERT_BAD_CERTIFICATE": ("the server does not accept the client certificate", _GIVE),
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": ("the server does not accept the client certificate", _GIVE),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": ("the server says that the client certificate has expired", _GIVE),
    "SSLV3_ALERT_CERTIFICATE_REVOKED": ("the server says that the client certificate was revoked", _GIVE),
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": ("the server does not accept the kind of the client certificate", _GIVE),
    "TLSV1_ALERT_ACCESS_DENIED": ("the server denied access to the client certificate", _GIVE),
    "TLSV1_UNRECOGNIZED_NAME": (
        "the server has no site of this name (SNI)",
        "give a name that the server serves: --sni NAME",
    ),
    "TLSV1_ALERT_INTERNAL_ERROR": (
        "the server had an internal error in the handshake; some servers say so when they have no site of this name",
        "if so, give a name that the server serves: --sni NAME",
    ),
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": ("the server demands stronger ciphers than the client offers", ""),
    "DH_KEY_TOO_SMALL": ("the server's Diffie-Hellman key is too weak for this machine's OpenSSL", ""),
    "EE_KEY_TOO_SMALL": ("the key of the server's certificate is too weak for this machine's OpenSSL", ""),
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": ("the server supports only unsafe legacy renegotiation", ""),
    "UNEXPECTED_EOF_WHILE_READING": _EOF,
}
"""Words and a hint by the reason that OpenSSL gives (errors of its library "SSL")."""

_AUTHORITY = "name the file of its authority (--cacert FILE, or SSL_CERT_FILE), or skip the check: --insecure (-k)"
_VERIFY = {
    9: ("its certificate is not valid yet", "check the clocks of both machines"),
    10: ("its certificate has expired", "renew it, or skip the check with --insecure"),
    18: ("its certificate is self-signed and not trusted here", _AUTHORITY),
    19: ("its certificate was signed by an unknown authority (a self-signed one)", _AUTHORITY),
    20: ("its certificate was signed by an unknown authority", _AUTHORITY),
    21: ("its certificate was signed by an unknown authority, or the chain that it sends is incomplete", _AUTHORITY),
    23: ("its certificate was revoked", ""),
    62: ("its certificate is for another name", "use a name of the certificate, or skip the check with --insecure"),
    64: ("its certificate is not for this IP address", "use a name of the certificate, or skip it with --insecure"),
}
"""Words and a hint by the code of X509_V_ERR_... (OpenSSL, x509_vfy.h)."""


def tls_words(error: ssl.SSLError) -> tuple[str, str]:
    """What went wrong, and a hint, which may be empty."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        words, hint = _VERIFY.get(error.verify_code, ("its certificate cannot be trusted", _AUTHORITY))
        return f"{words} ({said})", hint
    if isinstance(error, ssl.SSLEOFError):
        return _EOF
    reason = error.reason or _unnamed(error)
    if reason in _REASONS:
        return _REASONS[reason]
    alert = reason.partition("_ALERT_")[2]
    if alert:
        return f"the server ended the handshake with the alert {_plain(alert)}", ""
    return f"the TLS handshake failed: {_plain(reason) or error}", ""


def _unnamed(error: ssl.SSLError) -> str:
    """The reason of an error for which Python has no name: `[SSL] tlsv1 alert ... (_ssl.c:1006)`."""
    return str(error).partition("] ")[2].partition(" (_ssl")[0].upper().replace(" ", "_")


def _plain(reason: str) -> str:
    return reason.lower().replace("_", " ")
