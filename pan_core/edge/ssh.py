"""A bundle measured on a device that answers to SSH: copied there, run there, its result brought back."""

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
"""Below the user's home on the device."""
HOST = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.:_-]*")
# Nobody is there to type a password, and a device that is switched off must not be waited for without end.
OPTIONS = (
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=15",
    "-o",
    "ServerAliveInterval=15",
    "-o",
    "ServerAliveCountMax=4",
)


@dataclass(frozen=True)
class Device:
    """A device by its SSH address.

    Attributes:
        host: Such as "pi@192.168.1.7", or a name in the SSH configuration.
        config: SSH configuration file; the user's own where None.
    """

    host: str
    config: Path | None = None

    def __post_init__(self) -> None:
        if not HOST.fullmatch(self.host):
            raise DataError(f"{self.host!r}: expected a host such as pi@192.168.1.7")

    def run(self, command: str, *, stdin: Path | None = None, show: bool = False) -> str:
        """Run a shell command there; returns what it prints.

        Args:
            command: For its shell.
            stdin: File that it reads.
            show: Let its output through while it runs instead of returning it.

        Raises:
            PanError: Where the device cannot be reached or the command fails there.
        """
        config = ["-F", str(self.config)] if self.config else []
        try:
            with Path(stdin or os.devnull).open("rb") as source:
                done = subprocess.run(
                    ["ssh", *OPTIONS, *config, "--", self.host, command],
                    stdin=source, stdout=None if show else subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                )  # fmt: skip
        except FileNotFoundError:
            raise PanError("ssh is not installed here; install OpenSSH's client") from None
        told = done.stderr.decode(errors="replace").strip()
        if done.returncode == 255:
            raise PanError(
                f"{self.host}: cannot be reached ({told}); try `ssh {self.host}` by hand, it must ask for no password"
            )
        if done.returncode:
            raise PanError(f"{self.host}: `{command}` failed there with status {done.returncode}: {told[-2000:]}")
        return "" if show else done.stdout.decode()


def bench_on(
    device: Device, bundle: Path, *, profile: str, install: bool, any_device: bool, say: Callable[[str], None]
) -> str:
    """Measure a bundle on a device.

    Args:
        device: Where.
        bundle: Folder of the bundle.
        profile: As for `pan-edge bench`.
        install: Run the bundle's install.sh there first.
        any_device: Measure also where it is not the target's device.
        say: Told what is going on.

    Returns:
        Content of the result file.

    Raises:
        DataError: Where the bundle is damaged.
        PanError: Where a step fails on the device.
    """
    manifest = BundleManifest.read(bundle)
    place = f"{FOLDER}/{manifest.target['name']}"
    say(f"{device.host}: copying {bundle}")
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "bundle.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(bundle, ".")
        # Code and networks of an earlier bundle go. What install.sh and build_engines.sh made stays: pan-edge refuses an engine
        # that was made from another file.
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
