"""Check a Raspberry Pi's bundle on ARM code without a Pi: Debian's arm64 Python, unpacked and not installed, under QEMU's user mode.

This shows that the networks give the right outputs with the kernels that ncnn and OpenCV have for ARM. It does not show the speed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pan_core.edge.bundle_manifest import BundleManifest
from pan_core.edge.device import EMULATED_VARIABLE
from pan_core.edge.packages import packages_of
from pan_core.errors import DataError, PanError
from pan_core.export.targets import Target
from pan_core.files import atomic_path

QEMU = "qemu-aarch64-static"
TOOLS = {QEMU: "qemu-user-static", "apt-get": "apt", "dpkg-deb": "dpkg"}
"""Programs, and the Debian packages that contain them."""

PACKAGES = (
    "python3.11", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libstdc++6",
    "libgomp1", "zlib1g", "libexpat1", "libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libsqlite3-0", "libuuid1", "libcrypt1",
)  # fmt: skip
PLATFORM = "aarch64-manylinux_2_36"


def check_emulated(bundle: Path, target: Target, cache: Path, *, say: Callable[[str], None]) -> str:
    """Run `pan-edge check` of a bundle on an emulated processor; returns what it prints.

    Args:
        bundle: Folder of the bundle.
        target: Target of the bundle, which names the processor.
        cache: Folder in which Python and packages for ARM are kept.
        say: Called with a line of text at each step.

    Raises:
        DataError: If the target has no processor that can be emulated.
        PanError: If a program is missing, a package cannot be fetched, or the check fails.
    """
    if not target.emulate:
        raise DataError(
            f"{target.name}: no processor to emulate; name one as `emulate` in edge/targets.yaml, such as cortex-a72",
            code="emulation.no-processor",
        )
    if missing := [f"{name} (package {package})" for name, package in TOOLS.items() if not shutil.which(name)]:
        raise PanError(
            f"emulation needs {', '.join(missing)}; on Debian 12: apt-get install qemu-user-static",
            code="emulation.missing-tools",
        )
    BundleManifest.read(bundle)
    root, site = cache / "root", cache / "site"
    if not root.is_dir():
        say("unpacking Python for ARM from Debian's packages")
        _unpack(root)
    if not site.is_dir():
        say("fetching packages for ARM")
        _install(site)
    say(f"{bundle} on an emulated {target.emulate}; this takes minutes")
    python = root / "usr/bin/python3.11"
    environment = {
        "PATH": os.environ.get("PATH", ""), "PYTHONPATH": f"{bundle.absolute()}:{site.absolute()}", EMULATED_VARIABLE: "1",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return _run(
        [QEMU, "-cpu", target.emulate, "-L", str(root), str(python), "-P", "-m", "pan_core.edge.app", "check"],
        env=environment,
    )


def _unpack(root: Path) -> None:
    """Unpack Debian's packages for ARM; apt uses lists of their own, so that those of this machine stay unchanged."""
    with atomic_path(root) as partial:
        state = partial.parent / "apt"
        for folder in ("lists/partial", "cache/archives/partial", "debs"):
            (state / folder).mkdir(parents=True)
        options = {
            "APT::Architecture": "arm64", "APT::Architectures": "arm64", "Dir::State::lists": state / "lists",
            "Dir::State::status": "/dev/null", "Dir::Cache": state / "cache", "APT::Sandbox::User": "root",
        }  # fmt: skip
        apt = ["apt-get", "-qq", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
        _run([*apt, "update"])
        _run([*apt, "download", *PACKAGES], cwd=state / "debs")
        partial.mkdir()
        for package in sorted((state / "debs").glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(partial)])


def _install(site: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    program = str(uv) if uv.is_file() else "uv"
    with atomic_path(site) as partial:
        _run(
            [program, "pip", "install", "--quiet", "--python-platform", PLATFORM, "--python-version", "3.11", "--only-binary", ":all:",
             "--target", str(partial), *packages_of("ncnn", "onnxruntime")]
        )  # fmt: skip


def _run(command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PanError(f"{command[0]}: not installed", code="emulation.missing-tools") from None
    if done.returncode:
        raise PanError(
            f"`{' '.join(command[:3])} ...` failed with status {done.returncode}: {(done.stderr or done.stdout).strip()[-1500:]}",
            code="emulation.failed-command",
        )
    return done.stdout
