"""The user name and password that a stock iperf3 with `--authorized-users-path` demands, encrypted for its key."""

from __future__ import annotations

import base64
import enum
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.probe import PASSWORD_VARIABLE, ProbeTest
from loadgen.probe.api import ProbeError

_TEXT = "user: {user}\npwd:  {password}\nts:   {time_s}"  # of iperf3's iperf_auth.c


class Padding(enum.Enum):
    """How the text is padded before it is encrypted; a server knows one of them, and does not say which."""

    PKCS1 = "iperf3 up to 3.16"
    OAEP = "iperf3 from 3.17 on"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of a server; `key_pem` is the server's public key."""

    user: str
    password: str
    key_pem: bytes

    def token(self, padding: Padding, time_s: int) -> str:
        """The value of the parameter `authtoken` at `time_s`, seconds since 1970; servers allow 10 s of difference.

        Raises PlanError if the key is no RSA key, or too short for the text.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding as paddings
        from cryptography.hazmat.primitives.asymmetric import rsa

        hint = "give the file that the server's owner made with `openssl rsa -pubout`"
        try:
            key = serialization.load_pem_public_key(self.key_pem)
        except (ValueError, UnsupportedAlgorithm):
            raise PlanError("the file of --rsa-public-key is no public key in PEM format", hint=hint) from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise PlanError("the key in the file of --rsa-public-key is no RSA key", hint=hint)
        text = _TEXT.format(user=self.user, password=self.password, time_s=time_s).encode()
        how: Any = paddings.PKCS1v15()
        if padding is Padding.OAEP:
            # With OpenSSL's default digest.
            how = paddings.OAEP(mgf=paddings.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
        try:
            return base64.b64encode(key.encrypt(text, how)).decode()
        except ValueError:
            raise PlanError(
                f"the RSA key of {key.key_size} bits is too short for this user name and password",
                hint="use a key of 2048 bits or more",
            ) from None


class LoginError(ProbeError):
    """The server demands a login, or does not accept the one that it got."""


def login_refused(test: ProbeTest) -> LoginError:
    """The error when the server refuses the login of `test`, or the lack of one."""
    if not test.username:
        return LoginError(
            "requires a user name and a password",
            hint=f"give --username and --rsa-public-key; the password comes from {PASSWORD_VARIABLE}, --password-file "
            "or a prompt",
        )
    return LoginError(
        f"does not accept the login of {test.username!r}",
        hint="check the name, the password, the key, and that both clocks agree within 10 s",
    )


def login_of(test: ProbeTest) -> Login | None:
    """The login that `test` needs, with the password from the environment; None without a user name.

    Raises PlanError if the password or the key file is missing.
    """
    if not test.username:
        return None
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None:
        raise PlanError(
            f"there is no password for the user {test.username!r}",
            hint=f"set {PASSWORD_VARIABLE}, or give --password-file",
        )
    try:
        key_pem = Path(test.rsa_public_key).read_bytes()
    except OSError as error:
        raise PlanError(f"cannot read the key {test.rsa_public_key}: {error.strerror}") from error
    return Login(test.username, password, key_pem)
