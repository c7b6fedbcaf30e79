"""Masks secrets in texts: values of headers, query parameters, form fields and URLs that grant access to something.

A masked value is :data:`MASK`, so that a masked plan can be told from one that holds its secrets.
"""

from __future__ import annotations

import re

MASK = "***"

_WORDS = (
    r"(?<![a-z])auth(?![a-z])|authori[sz]|authent|cookie|token|secret|passw|passphrase|credential|signature"
    r"|(?:api|access|subscription|private)[-_]?key|session"
)
_SECRET = re.compile(_WORDS, re.IGNORECASE)
_SHORT = {"key", "sig", "pwd", "pass", "jwt", "sid"}  # too short to be searched in longer names

# Each pattern begins at one place of a word only, and does not go back within it: a text of 100,000 letters takes no
# longer than ten times one of 10,000.
_USER = re.compile(r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z0-9+.-]++)://(?P<user>[^/?#\s'\"]*)@")
_PARAMETER = re.compile(r"(?P<name>(?<=[?&;#])[^=&;#?\s'\"]++)=(?P<value>[^&;#\s'\"]+)")
_NAME = rf"(?<![\w-])(?P<name>(?>[\w-]*?(?:{_WORDS})[\w-]*+))"
_SEPARATOR = r"(?P<separator>[\"']?\s*[:=](?!\s*…)\s*[\"']?)"  # our own hints write `Authorization: …`
_FIELD = re.compile(rf"{_NAME}{_SEPARATOR}(?P<value>[^'\"\r\n&,{{}}]+)", re.IGNORECASE)
_LINE = re.compile(rf"{_NAME}{_SEPARATOR}(?P<value>[^'\"\r\n]+)", re.IGNORECASE)
_PLACE = re.compile(r"\s*(?:(?:Basic|Bearer|Token)\s+)?\{\{[^{}]*\}\}\s*", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<scheme>Bearer)\s+[\w.~+/=-]{4,}", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a header, a query parameter or a form field of this name usually holds a secret."""
    return name.lower() in _SHORT or _SECRET.search(name) is not None


def mask_header(line: str) -> str:
    """A header line like `Authorization: Basic …`; its value is masked when its name is that of a secret."""
    name, colon, value = line.partition(":")
    return f"{name}: {MASK}" if colon and value.strip() and is_secret(name) and not _is_place(value) else line


def mask_url(text: str) -> str:
    """A URL, or a text with URLs: passwords (`user:…@`) and the values of secret query parameters are masked."""
    if "@" in text:
        text = _USER.sub(_masked_user, text)
    return _PARAMETER.sub(_masked_parameter, text) if "=" in text else text


def mask_body(text: str) -> str:
    """The body of a request: the values of secret form fields and of secret members of JSON objects are masked."""
    return _FIELD.sub(_masked_value, mask_url(f"?{text}")[1:]) if "=" in text or ":" in text else text


def mask_text(text: str) -> str:
    """Any text, such as an argument of a command, a message or a line of a log, without the secrets that it shows."""
    return _BEARER.sub(rf"\g<scheme> {MASK}", _LINE.sub(_masked_value, mask_url(text)))


def _masked_user(match: re.Match[str]) -> str:
    name, colon, _ = match["user"].partition(":")
    if colon:
        return f"{match['scheme']}://{name}:{MASK}@"
    shown = MASK if match["scheme"].lower().startswith("http") else name  # a lone token; or the user of ssh://
    return f"{match['scheme']}://{shown}@"


def _masked_parameter(match: re.Match[str]) -> str:
    secret = is_secret(match["name"]) and not _is_place(match["value"])
    return f"{match['name']}={MASK}" if secret else match[0]


def _is_place(value: str) -> bool:
    """Whether a value is a placeholder like `{{token}}`, with or without a scheme: the secret is in a data file."""
    return _PLACE.fullmatch(value) is not None


def _masked_value(match: re.Match[str]) -> str:
    return f"{match['name']}{match['separator']}{MASK}"
