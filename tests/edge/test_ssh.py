"""A bundle goes to a device over SSH and its measurement comes back; the device is a real OpenSSH server on this machine."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from refusals import refused

from pan_core.edge.result import HERE, read_result
from pan_core.edge.ssh import FOLDER, Device, bench_on
from pan_core.errors import DataError

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """A host named `device` in an SSH configuration of its own, whose home is a new folder."""
    if not Path(SSHD).is_file() or not shutil.which("ssh"):
        pytest.skip("no OpenSSH server and client here: apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("ssh")
    home = folder / "home"
    home.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The device's own interpreter has what install.sh would install; its home is not that of whoever runs the test.
    command = f'cd {home} && export PATH={Path(sys.executable).parent}:$PATH OMP_NUM_THREADS=1 && eval "$SSH_ORIGINAL_COMMAND"'
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'authorized'}\n"
        f"PidFile {folder / 'pid'}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nForceCommand {command}\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True) if os.getuid() == 0 else None
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=(folder / "log").open("w"))
    key = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {key}")
    (folder / "config").write_text(
        f"Host device\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {folder / 'user'}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder / 'known'}\n"
        f"Host gone\n  HostName 127.0.0.1\n  Port 1\n"
    )
    try:
        _wait(port, server, folder)
        yield Device("device", folder / "config"), home
    finally:
        server.terminate()
        server.wait()


def _wait(port, server, folder):
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            pytest.skip(f"the OpenSSH server does not start here: {(folder / 'log').read_text().strip()}")
        time.sleep(0.1)
    pytest.fail("the OpenSSH server does not answer")


def test_measured_there_and_brought_back(device, host_bundle, tmp_path):
    there, home = device
    said = []
    content = bench_on(there, host_bundle, profile="short", install=False, any_device=False, say=said.append)
    (tmp_path / "result.json").write_text(content)
    result = read_result(tmp_path / "result.json")
    assert (result["kind"], result["target"]) == (HERE, "host")
    assert result["frame"]["count"] == 80
    assert (home / FOLDER / "host" / "manifest.json").read_bytes() == (host_bundle / "manifest.json").read_bytes()
    assert [line.split(": ")[0] for line in said] == ["device", "device"]


def test_what_fails_there_is_told(device, made, tmp_path):
    bundle = made.bundle("raspberry-pi-4", tmp_path / "pi4")
    with refused("ssh.failed-command") as raised:
        bench_on(device[0], bundle, profile="short", install=False, any_device=False, say=lambda text: None)
    assert "made for raspberry-pi-4" in str(raised.value)


def test_a_device_that_is_not_there(device):
    with refused("ssh.unreachable") as raised:
        Device("gone", device[0].config).run("true")
    assert str(raised.value).startswith("gone:")


@pytest.mark.parametrize("host", ["-oProxyCommand=touch x", "pi@host; rm -rf", "", "pi@-x"])
def test_a_host_that_is_no_host(host):
    with refused("ssh.host", DataError):
        Device(host)
