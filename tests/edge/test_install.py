"""The service starts with the very address that install.sh was given; sudo, pip and systemctl are stand-ins that write into a folder."""

import os
import subprocess
from pathlib import Path

import pytest

import pan_core.edge

TEMPLATES = Path(pan_core.edge.__file__).parent / "templates"
STAND_INS = {
    "sudo": 'case $1 in tee) cat > "$WRITTEN" ;; esac\n',
    "python3": 'case "$2" in venv) mkdir -p .venv/bin; printf "#!/bin/sh\\n" > .venv/bin/pip; chmod +x .venv/bin/pip ;; esac\n',
}


def prepared(folder):
    """A folder with what install.sh needs; the environment in which it runs."""
    for name in ("install.sh", "pan-edge.service"):
        (folder / name).write_text((TEMPLATES / name).read_text())
    (folder / "bin").mkdir()
    for name, text in STAND_INS.items() | {("pan-edge", "")}:
        path = folder / ("bin" if name in STAND_INS else "") / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
    return os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "WRITTEN": str(folder / "unit")}


@pytest.mark.parametrize("source", ['rtsp://cam/"a', "rtsp://cam/a b", "rtsp://cam/'a", "rtsp://cam/a\\b"])
def test_an_address_that_systemd_would_read_otherwise_is_refused(tmp_path, source):
    environment = prepared(tmp_path)
    done = subprocess.run(
        ["sh", str(tmp_path / "install.sh"), "--service", source],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "expected a camera without spaces, quotes and backslashes" in done.stderr
    assert not (tmp_path / "unit").exists()


def test_a_folder_with_a_space_is_no_place_for_a_service(tmp_path):
    folder = tmp_path / "my bundle"
    folder.mkdir()
    done = subprocess.run(
        ["sh", str(folder / "install.sh"), "--service", "0"],
        env=prepared(folder),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "without spaces" in done.stderr


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("0", '"0"'),
        # systemd reads % and $ as its own; the address names a password that only pan-edge looks up.
        ("rtsp://me:${PASS}@cam/a?x=1&y=2%20|z", '"rtsp://me:$${PASS}@cam/a?x=1&y=2%%20|z"'),
    ],
)
def test_the_address_stays_as_it_was_written(tmp_path, source, written):
    environment = prepared(tmp_path)
    subprocess.run(["sh", str(tmp_path / "install.sh"), "--service", source], env=environment, check=True)
    lines = (tmp_path / "unit").read_text().splitlines()
    assert f"ExecStart={tmp_path}/pan-edge run {written}" in lines
    assert f"WorkingDirectory={tmp_path}" in lines
