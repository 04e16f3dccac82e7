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


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("0", '"0"'),
        # systemd reads % and $ as its own; the address names a password that only pan-edge looks up.
        ("rtsp://me:${PASS}@cam/a?x=1&y=2%20|z", '"rtsp://me:$${PASS}@cam/a?x=1&y=2%%20|z"'),
    ],
)
def test_the_address_stays_as_it_was_written(tmp_path, source, written):
    for name in ("install.sh", "pan-edge.service"):
        (tmp_path / name).write_text((TEMPLATES / name).read_text())
    (tmp_path / "bin").mkdir()
    for name, text in STAND_INS.items() | {("pan-edge", "")}:
        path = tmp_path / ("bin" if name in STAND_INS else "") / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "WRITTEN": str(tmp_path / "unit")}
    subprocess.run(["sh", str(tmp_path / "install.sh"), "--service", source], env=environment, check=True)
    lines = (tmp_path / "unit").read_text().splitlines()
    assert f"ExecStart={tmp_path}/pan-edge run {written}" in lines
    assert f"WorkingDirectory={tmp_path}" in lines
