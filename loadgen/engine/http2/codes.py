"""The error codes of HTTP/2 in words."""

from __future__ import annotations

from h2.errors import ErrorCodes

_MEANINGS = {
    ErrorCodes.NO_ERROR: "a graceful end",
    ErrorCodes.PROTOCOL_ERROR: "the server sees a mistake in the protocol",
    ErrorCodes.INTERNAL_ERROR: "an error inside the server",
    ErrorCodes.FLOW_CONTROL_ERROR: "the server sees a mistake in flow control",
    ErrorCodes.REFUSED_STREAM: "the server did not process the request",
    ErrorCodes.CANCEL: "the server does not want the stream any more",
    ErrorCodes.ENHANCE_YOUR_CALM: "the server finds the load excessive",
    ErrorCodes.INADEQUATE_SECURITY: "the TLS connection does not satisfy the server",
    ErrorCodes.HTTP_1_1_REQUIRED: "the server wants HTTP/1.1: omit --http2",
}


def error_name(code: int) -> str:
    """An error code (RFC 9113, section 7) by its name and its meaning."""
    try:
        known = ErrorCodes(code)
    except ValueError:
        return f"the unknown code {code:#x}"
    meaning = _MEANINGS.get(known)
    return f"{known.name} ({meaning})" if meaning else known.name
