"""What a client does in TLS, besides whether it verifies certificates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """`authorities`, `certificate` and `key` are PEM texts; "" for the defaults of the machine, and for no certificate.

    A certificate without a key contains its key.  `name` is the server name that is sent (SNI) and verified; "" for the
    host of the URL.  `resume`: a connection that is opened again resumes its TLS session, if the server allows that.
    `tunnel`: connections go to an HTTP proxy, which is asked for a tunnel first; `proxy_authorization` is the value of
    the header Proxy-Authorization, "" for none.
    """

    authorities: str = ""
    certificate: str = ""
    key: str = ""
    name: str = ""
    resume: bool = False
    tunnel: bool = False
    proxy_authorization: str = ""


TLS_DEFAULTS = TlsSettings()
"""Nothing but the defaults."""
