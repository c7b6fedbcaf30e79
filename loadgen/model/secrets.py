"""Masks secrets in texts: values of headers, query parameters, form fields and URLs that grant access to something.

A masked value is :data:`MASK`, so that a masked plan can be told from one that holds its secrets.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

MASK = "***"

_WORDS = (
    r"(?<![a-z])auth(?![a-z])|authori[sz]|authent|cookie|token|secret|passw|passphrase|credential|signature"
    r"|(?:api|access|subscription|private)[-_]?key|session"
)
_SECRET = re.compile(_WORDS, re.IGNORECASE)
_SHORT = {"key", "sig", "pwd", "pass", "jwt", "sid"}  # too short to be searched in longer names
_PART = re.compile(r"(?<![a-z])(?:jwt|dpop|pwd)(?![a-z])", re.IGNORECASE)  # a word of a name, as in X-JWT

# Each pattern begins at one place of a word only, and does not go back within it: a text of 100,000 letters takes no
# longer than ten times one of 10,000.
_USER = re.compile(r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z0-9+.-]++)://(?P<user>[^/?#\s'\"]*)@")
_LOGIN = re.compile(r"(?<![^\s'\"=])(?P<name>[^\s/:@,='\"]++):(?!\*)[^\s/@,='\"]++@(?=[^\s/@])")  # without a scheme
_PARAMETER = re.compile(r"(?P<name>(?<=[?&;#])[^=&;#?\s'\"]++)=(?P<value>[^&;#\s'\"]+)")
_NAME = rf"(?<![\w-])(?P<name>(?>[\w-]*?(?:{_WORDS})[\w-]*+))"
_SEPARATOR = r"(?P<separator>[\"']?+\s*+[:=](?!\s*…)\s*+[\"']?+)"  # our own hints write `Authorization: …`
_FIELD = re.compile(rf"{_NAME}{_SEPARATOR}(?P<value>[^'\"\r\n&,{{}}]+)", re.IGNORECASE)
_LIST, _TABLE = r"\[(?:[^\[\]]|\[[^\[\]]*+\])*+\]", r"\{(?:[^{}]|\{[^{}]*+\})++\}"
_GROUP = re.compile(rf"{_NAME}(?P<separator>[\"']?\s*:\s*)(?P<value>{_LIST}|{_TABLE})", re.IGNORECASE)
_ELEMENT = re.compile(r"<(?P<name>[\w:.-]++)(?P<separator>(?:\s[^<>]*)?>)(?P<value>[^<]++)(?=</)")
_FORM_PART = re.compile(
    r"(?P<before>;\s*name=\")(?P<name>[^\"\r\n]*)(?P<separator>\"[^\r\n]{0,1000}\r?\n(?:[^\r\n]{1,1000}\r?\n){0,20}\r?\n)"
    r"(?P<value>.*?)(?=\r?\n--|\Z)",
    re.DOTALL,
)
_PEM = re.compile(r"(?P<begin>-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]++\.[\w-]*+")  # {" in base64, and the two dots of RFC 7515
_LINE = re.compile(rf"{_NAME}{_SEPARATOR}(?P<value>[^'\"\r\n]+)", re.IGNORECASE)
_PLACE = re.compile(r"\s*(?:(?:Basic|Bearer|Token)\s+)?\{\{[^{}]*\}\}\s*", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<scheme>Bearer)\s+[\w.~+/=-]{4,}", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a header, a query parameter or a form field of this name usually holds a secret."""
    return name.lower() in _SHORT or _SECRET.search(name) is not None or _PART.search(name) is not None


def mask_header(line: str) -> str:
    """A header line like `Authorization: Basic …`; its value is masked when its name is that of a secret."""
    name, colon, value = line.partition(":")
    return f"{name}: {MASK}" if colon and value.strip() and is_secret(name) and not _is_place(value) else line


def mask_url(text: str) -> str:
    """A URL, or a text with URLs: passwords (`user:…@`), secret query parameters and JSON Web Tokens are masked."""
    if "@" in text:
        text = _LOGIN.sub(rf"\g<name>:{MASK}@", _USER.sub(_masked_user, text))
    if "eyJ" in text:
        text = _JWT.sub(MASK, text)
    return _PARAMETER.sub(_masked_parameter, text) if "=" in text else text


def mask_body(text: str) -> str:
    """The body of a request without the secrets in it.

    Values of fields of forms, members of JSON objects and XML elements are masked by their names, and private keys
    (PEM) always.
    """
    if "PRIVATE KEY" in text:
        text = _PEM.sub(rf"\g<begin>\n{MASK}\n", text)
    if "</" in text:
        text = _ELEMENT.sub(lambda found: f"<{_masked_if_secret(found)}", text)
    if "form-data" in text:
        text = _FORM_PART.sub(lambda found: found["before"] + _masked_if_secret(found), text)
    if ":" in text:
        text = _GROUP.sub(_masked_if_secret, text)
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
    secret = is_secret(unquote(match["name"])) and not _is_place(match["value"])
    return f"{match['name']}={MASK}" if secret else match[0]


def _masked_if_secret(match: re.Match[str]) -> str:
    secret = is_secret(match["name"]) and not _is_place(match["value"])
    return f"{match['name']}{match['separator']}{MASK if secret else match['value']}"


def _is_place(value: str) -> bool:
    """Whether a value is a placeholder like `{{token}}`, with or without a scheme: the secret is in a data file."""
    return _PLACE.fullmatch(value) is not None


def _masked_value(match: re.Match[str]) -> str:
    return f"{match['name']}{match['separator']}{MASK}"
