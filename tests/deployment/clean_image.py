"""Every step of the Dockerfile in a clean Debian, without a container engine.

    python tests/deployment/clean_image.py FOLDER [--then "make run PYTHON=python3"]

A Debian of the base image's release is made in FOLDER by debootstrap, with Debian's own Python 3.11 in the place of the image's.
COPY copies the files that git has, RUN runs in a chroot as the user that USER names, and what --then says runs last.
Needs root and debootstrap.

What it cannot check: that the base image exists, its own Python, the layers and their sizes, and what an engine adds, such as
capabilities and volumes.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[2]
MIRROR = "http://deb.debian.org/debian"
PACKAGES = "python3,python3-venv,python3-dev,ca-certificates,passwd"
PASSED_ON = ("PIP_", "UV_", "HTTP", "http", "HTTPS", "https", "NO_PROXY", "no_proxy", "SSL_CERT", "REQUESTS_CA")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--then", default="", help="command after the last step")
    arguments = parser.parse_args()
    root = arguments.folder.resolve()
    release = re.search(r"^FROM python:3\.11\.\d+-slim-(\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert release, "the Dockerfile's base is not python:3.11.N-slim-RELEASE"
    if not (root / "etc").is_dir():
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release[1], str(root), MIRROR], check=True
        )
    with ExitStack() as mounts:
        prepare(root, mounts)
        user, place = "0", "/"
        for word, rest in steps():
            print(f"== {word} {rest[:100]}", flush=True)
            if word == "WORKDIR":
                place = rest
                (root / place.strip("/")).mkdir(parents=True, exist_ok=True)
            elif word == "USER":
                user = rest
            elif word == "COPY":
                copy(root / place.strip("/"), rest)
            elif word == "RUN":
                run(root, place, user, rest)
        if arguments.then:
            print(f"== then: {arguments.then}", flush=True)
            run(root, place, user, arguments.then)
    print("every step ended well")
    return 0


def steps() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments, in order."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = [line.partition(" ") for line in text.splitlines() if line.strip()]
    known = {"FROM", "WORKDIR", "USER", "COPY", "RUN", "CMD"}
    assert {word for word, _, _ in found} <= known, "an instruction that this script does not know"
    return [(word, rest.strip()) for word, _, rest in found if word not in ("FROM", "CMD")]


def prepare(root: Path, mounts: ExitStack) -> None:
    """Network, package sources and certificates of this machine; devices, and folders that PIP_FIND_LINKS names."""
    for name in ("/etc/resolv.conf", "/etc/hosts"):
        shutil.copy2(name, root / name.strip("/"))
    for folder in ("/etc/ssl/certs", "/etc/apt/apt.conf.d"):
        subprocess.run(["cp", "-rL", "--remove-destination", f"{folder}/.", str(root / folder.strip("/"))], check=False)
    links = os.environ.get("PIP_FIND_LINKS", "")
    for source in ["/dev", "/proc", *([links] if Path(links).is_dir() and links else [])]:
        target = root / source.strip("/")
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--rbind", source, str(target)], check=True)
        subprocess.run(["mount", "--make-rslave", str(target)], check=True)
        mounts.callback(subprocess.run, ["umount", "-l", str(target)], check=False)


def copy(place: Path, arguments: str) -> None:
    """COPY --chown=UID SOURCE... TARGET, of the files that git has and .dockerignore lets through."""
    owner, *names, target = shlex.split(arguments)
    number = int(owner.removeprefix("--chown="))
    ignored = tuple((ROOT / ".dockerignore").read_text().split())
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in tracked:
        if name.split("/")[0] in ignored or not any(each in (".", name) for each in names):
            continue
        to = place / (name if target in (".", "./") else target)
        for folder in reversed([each for each in to.parents if each.is_relative_to(place)]):
            folder.mkdir(exist_ok=True)
            os.chown(folder, number, number)
        shutil.copy2(ROOT / name, to)
        os.chown(to, number, number)


def run(root: Path, place: str, user: str, command: str) -> None:
    """A command in the chroot, by /bin/sh as an engine would."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    home = "/root" if user == "0" else "/home/pan"
    environment = kept | {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": home, "LANG": "C.UTF-8"}
    inside = ["chroot", f"--userspec={user}:{user}", str(root), "/bin/sh", "-c", f"cd {place} && {command}"]
    done = subprocess.run(inside, env=environment, check=False)
    if done.returncode:
        sys.exit(f"ended with {done.returncode}: {command}")


if __name__ == "__main__":
    sys.exit(main())
