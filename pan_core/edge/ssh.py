"""Measure a bundle on a device over SSH: copy it there, run it there, and fetch the result."""

import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pan_core.edge.bundle_manifest import ENGINE, BundleManifest
from pan_core.errors import DataError, PanError

FOLDER = ".pan-edge"
"""Folder in the user's home on the device."""
HOST = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.:_-]*")
# No prompt for a password, and a timeout for a device that is switched off.
OPTIONS = ("BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=4")


@dataclass(frozen=True)
class Device:
    """A device that is reached over SSH.

    Attributes:
        host: Address such as "pi@192.168.1.7", or a name in the SSH configuration.
        config: SSH configuration file; the user's own if None.
    """

    host: str
    config: Path | None = None

    def __post_init__(self) -> None:
        if not HOST.fullmatch(self.host):
            raise DataError(f"{self.host!r}: expected a host such as pi@192.168.1.7", code="ssh.host")

    def run(self, command: str, *, stdin: Path | None = None, show: bool = False) -> str:
        """Run a shell command there; returns what it prints.

        Args:
            command: Command line for the shell there.
            stdin: File that the command reads.
            show: True to print the output while the command runs instead of returning it.

        Raises:
            PanError: If the device cannot be reached, or the command fails there.
        """
        options = [part for option in OPTIONS for part in ("-o", option)]
        options += ["-F", str(self.config)] if self.config else []
        try:
            with Path(stdin or os.devnull).open("rb") as source:
                done = subprocess.run(
                    ["ssh", *options, "--", self.host, command],
                    stdin=source, stdout=None if show else subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                )  # fmt: skip
        except FileNotFoundError:
            raise PanError("ssh is not installed here; install OpenSSH's client", code="ssh.not-installed") from None
        printed = done.stderr.decode(errors="replace").strip()
        if done.returncode == 255:
            raise PanError(
                f"{self.host}: cannot be reached ({printed}); try `ssh {self.host}` by hand, it must ask for no password",
                code="ssh.unreachable",
            )
        if done.returncode:
            raise PanError(
                f"{self.host}: `{command}` failed there with status {done.returncode}: {printed[-2000:]}",
                code="ssh.failed-command",
            )
        return "" if show else done.stdout.decode()


def bench_on(
    device: Device, bundle: Path, *, profile: str, install: bool, any_device: bool, say: Callable[[str], None]
) -> str:
    """Measure a bundle on a device.

    Args:
        device: The device.
        bundle: Folder of the bundle.
        profile: Profile for `pan-edge bench`.
        install: True to run the bundle's install.sh there first.
        any_device: True to measure also on a machine that is not the target's device.
        say: Called with a line of text at each step.

    Returns:
        Content of the result file.

    Raises:
        DataError: If the bundle is damaged.
        PanError: If a step fails on the device.
    """
    manifest = BundleManifest.read(bundle)
    place = f"{FOLDER}/{manifest.target['name']}"
    say(f"{device.host}: copying {bundle}")
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "bundle.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(bundle, ".")
        # Delete code and networks of an earlier bundle. Keep what install.sh and build_engines.sh made: pan-edge refuses an
        # engine that was made from another file.
        own = sorted({Path(name).parts[0] for name in manifest.content["files"] if "/" in name})
        device.run(
            f"mkdir -p {place} && cd {place} && mkdir -p {' '.join(own)} && "
            f"find {' '.join(own)} -type f ! -name '*{ENGINE}' ! -name '*{ENGINE}.source' -delete && tar -xzf -",
            stdin=archive,
        )
    if install:
        say(f"{device.host}: ./install.sh")
        device.run(f"cd {place} && ./install.sh")
    say(f"{device.host}: ./pan-edge bench --profile {profile}")
    extra = " --any-device" if any_device else ""
    device.run(
        f"cd {place} && rm -f result.json && ./pan-edge bench --profile {profile}{extra} --out result.json", show=True
    )
    return device.run(f"cat {place}/result.json")
