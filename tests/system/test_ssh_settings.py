"""What OpenSSH reads, loadgen reads as OpenSSH does: against a real sshd, with the files of a user."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from deploy.hosts import connect, ssh_config
from deploy.hosts.inventory import Host
from deploy.hosts.ssh import Ssh
from loadgen.model.errors import FleetError
from tests.support.local_sshd import ADDRESS, LocalSshd, as_user, local_sshd
from tests.support.machines import needs_machines
from tests.support.vms import within

pytestmark = needs_machines


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSshd]:
    with local_sshd(tmp_path) as made:
        as_user(made, monkeypatch)
        monkeypatch.setattr(ssh_config, "SYSTEM_CONFIG", tmp_path / "system_config")
        yield made


def reach(*hosts: Host) -> tuple[list[str], list[str]]:
    """Connect to all hosts at once: "" or the reason for each, and the notes."""
    notes: list[str] = []
    ssh = Ssh(notes.append)

    async def one(host: Host) -> str:
        try:
            link = await ssh.connect(host)
        except FleetError as error:
            return error.message
        await link.close()
        return ""

    async def every() -> list[str]:
        return await asyncio.gather(*map(one, hosts))

    return asyncio.run(every()), notes


def test_a_bad_line_of_known_hosts_costs_that_line_only(sshd: LocalSshd) -> None:
    sshd.know(
        f"garbage\n@wrong x ssh-ed25519 AAAA\nx ssh-ed25519 AAAA\n\n# text\n|1|a|b|c ssh-rsa x\n{sshd.known_line}"
    )
    (why,), notes = reach(Host(name="h"))
    assert why == ""
    file = sshd.ssh / "known_hosts"
    assert notes == [
        f"{file}, line 1: it is not the key of a host; the line is skipped",
        f"{file}, line 2: @wrong is not a marker; the line is skipped",
        f"{file}, line 3: its key is not of the type ssh-ed25519; the line is skipped",
        f"{file}, line 6: its key is not base64; the line is skipped",
    ]


@pytest.mark.parametrize(
    ("config", "broken", "note"),
    [
        ("IdentityFile ~/.ssh/none", "", "the key file {ssh}/none does not exist; it is skipped"),
        ("", "id_rsa", "the key file {ssh}/id_rsa cannot be used: "),
        ("IdentityFile ~/.ssh/mine\nIdentityAgent /none/agent", "mine", "the key file {ssh}/mine cannot be used: "),
        ("CertificateFile ~/.ssh/none-cert.pub", "", "CertificateFile {ssh}/none-cert.pub: No such file"),
        ("IdentityAgent /none/agent", "", "the SSH agent at /none/agent cannot be used: "),
    ],
    ids=["missing", "broken default", "broken", "certificate", "agent"],
)
def test_a_key_file_that_cannot_be_used_is_skipped_and_named(
    config: str, broken: str, note: str, sshd: LocalSshd
) -> None:
    sshd.config(
        f"Host *\n{config}\nIdentityFile %d/.ssh/id_ed25519\n" if config.startswith("Identity") else f"{config}"
    )
    if broken:
        (sshd.ssh / broken).write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n")
    (why,), notes = reach(Host(name="h"))
    assert why == ""
    assert any(one.startswith(note.format(ssh=sshd.ssh)) for one in notes), notes


def test_a_key_with_a_passphrase_is_named_when_no_agent_has_it(sshd: LocalSshd) -> None:
    path = sshd.ssh / "id_ed25519"
    encrypt(path)
    (why,), _ = reach(Host(name="h"))
    assert why == (
        f"it refuses root at {ADDRESS}:{sshd.port}: the key in {path} has a passphrase, and no SSH agent has the key: "
        f"call `ssh-add {path}` before"
    )


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="ssh-agent is not installed")
@pytest.mark.parametrize("config", ["", "IdentitiesOnly yes\nIdentityFile ~/.ssh/id_ed25519"], ids=["any", "only"])
def test_an_agent_signs_with_a_key_that_has_a_passphrase(
    config: str, sshd: LocalSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sshd.ssh / "id_ed25519"
    with agent(sshd.home) as at:
        monkeypatch.setenv("SSH_AUTH_SOCK", at)
        other = asyncssh.generate_private_key("ssh-ed25519")
        (sshd.ssh / "other").write_bytes(other.export_private_key())
        (sshd.ssh / "other").chmod(0o600)
        for key in (sshd.ssh / "other", path):
            subprocess.run(["ssh-add", "-q", key], check=True, timeout=10)
        encrypt(path)
        sshd.config(f"Host *\n{config}\n")
        assert reach(Host(name="h")) == ([""], [])


def encrypt(path: Path) -> None:
    """Give a key file a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", path], check=True, timeout=10)


@contextlib.contextmanager
def agent(directory: Path) -> Iterator[str]:
    at = directory / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", at], stdout=subprocess.DEVNULL) as running:
        try:
            assert within(5, at.exists)
            yield str(at)
        finally:
            running.kill()


def test_the_systems_files_are_read_too(sshd: LocalSshd, tmp_path: Path) -> None:
    """/etc/ssh/ssh_config with Include and Match, and the known_hosts file of all users."""
    (sshd.ssh / "config").write_text("")
    sshd.know("")
    (tmp_path / "ssh_known_hosts").write_text(sshd.known_line)
    (tmp_path / "more").write_text(f"Match originalhost far* exec true\n HostName {ADDRESS}\n")
    (tmp_path / "system_config").write_text(
        f"Include {tmp_path}/more\nMatch all\nHost *\n Port {sshd.port}\n User root\n"
        f" GlobalKnownHostsFile {tmp_path}/ssh_known_hosts\n"
    )
    assert reach(Host(name="far")) == ([""], [])


@pytest.mark.parametrize("hashed", ["no", "yes"])
def test_accept_new_adds_a_key_once_and_refuses_another_one(hashed: str, sshd: LocalSshd) -> None:
    file = sshd.ssh / "known_hosts"
    sshd.know("# without a newline at its end")
    sshd.config(f"Host *\nStrictHostKeyChecking accept-new\nHashKnownHosts {hashed}\n")
    first, notes = reach(Host(name="h"), Host(name="h2"))
    assert first == ["", ""]
    (note,) = notes
    assert "was added to" in note
    _, line = file.read_text().splitlines()
    assert line.startswith("|1|" if hashed == "yes" else f"[{ADDRESS}]:{sshd.port} ssh-ed25519 ")
    found = subprocess.run(
        ["ssh-keygen", "-F", f"[{ADDRESS}]:{sshd.port}", "-f", file], capture_output=True, timeout=10, check=False
    )
    assert found.returncode == 0, "OpenSSH does not find it"
    assert reach(Host(name="h")) == ([""], [])
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    sshd.know(f"[{ADDRESS}]:{sshd.port} {other}")
    (why,), _ = reach(Host(name="h"))
    assert "differs from the one in known_hosts" in why


def test_without_checks_every_key_is_accepted_and_told(sshd: LocalSshd) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    sshd.know(f"[{ADDRESS}]:{sshd.port} {other}")
    sshd.config("Host *\nStrictHostKeyChecking no\n")
    (why,), (note,) = reach(Host(name="h"))
    assert why == ""
    assert "differs from the one in known_hosts" in note
    # The usual pair of a cluster whose machines are installed anew each day.
    before = (sshd.ssh / "known_hosts").read_text()
    sshd.config("Host *\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n")
    assert reach(Host(name="h")) == ([""], [])
    assert (sshd.ssh / "known_hosts").read_text() == before
    sshd.config("Host *\nUserKnownHostsFile /dev/null\n")
    (why,), _ = reach(Host(name="h"))
    assert f"the host key at {ADDRESS}:{sshd.port} is unknown" in why


def test_a_revoked_key_is_refused_whatever_the_checks(sshd: LocalSshd) -> None:
    sshd.know(f"@revoked {sshd.known_line}")
    sshd.config("Host *\nStrictHostKeyChecking no\n")
    (why,), _ = reach(Host(name="h"))
    assert "revoked" in why


def test_an_ssh_config_that_openssh_refuses_is_named(sshd: LocalSshd) -> None:
    (sshd.ssh / "config").write_text("Bogus yes\n")
    (why,), _ = reach(Host(name="h"))
    assert why == (
        f"OpenSSH does not accept the ssh_config: {sshd.ssh}/config: line 1: Bad configuration option: bogus"
    )


def test_without_the_program_ssh_the_same_files_are_read(
    sshd: LocalSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/none")
    (tmp_path / "system_config").write_text(f"Host far\n HostName {ADDRESS}\n Port {sshd.port}\n User root\n")
    assert reach(Host(name="far"), Host(name="h")) == (["", ""], [])
    (sshd.ssh / "config").write_text("Port x\n")
    (why,), _ = reach(Host(name="h"))
    assert why.startswith("the ssh_config cannot be used: ")
    assert f"{sshd.ssh}/config line 1" in why


def test_jumps_in_a_circle_and_jumps_that_fail_are_named(sshd: LocalSshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "pauses_s", lambda: iter([0.0]))
    sshd.config("Host *\nProxyJump h\n")
    (why,), _ = reach(Host(name="h"))
    assert "it goes in a circle" in why
    sshd.config("Host far\nProxyJump h,h:1\nHost h1\nProxyJump h\nHost h2\nProxyCommand ssh-is-missing -W %h:%p h\n")
    (far, one, two), _ = reach(Host(name="far"), Host(name="h1"), Host(name="h2"))
    assert far.startswith("through the jump host h:1: no SSH connection to ")
    assert one == ""
    assert "closes the connection before the SSH handshake" in two


def test_many_hosts_behind_one_sshd_or_jump_host_are_reached_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 at once are too many for the default MaxStartups 10:30:100; behind 4:100:5 even ours can be too many."""
    with local_sshd(tmp_path / "a", "MaxStartups 10:30:100") as sshd:
        as_user(sshd, monkeypatch)
        many = [Host(name=f"h{number}") for number in range(24)]
        assert reach(*many) == ([""] * 24, [])
        sshd.config(f"Host far*\n HostName {ADDRESS}\n Port {sshd.port}\n User root\n ProxyJump h\n")
        assert reach(*(Host(name=f"far{number}") for number in range(24))) == ([""] * 24, [])
    with local_sshd(tmp_path / "b", "MaxStartups 4:100:5") as sshd:
        as_user(sshd, monkeypatch)
        assert reach(*many) == ([""] * 24, [])
