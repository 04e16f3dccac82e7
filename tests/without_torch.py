"""Run a bundle in a process that lacks what a device lacks."""

import os
import subprocess
import sys

# What a device does not have. The workstation's interpreter does, so its import is made to fail.
ABSENT = tuple("torch pandas mlflow onnx scipy sklearn pydantic ruamel typer tqdm matplotlib dvc".split())  # noqa: SIM905
REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[2])
import pan_core
assert pan_core.__file__.startswith(sys.path[0]), pan_core.__file__
"""
RUN = """
from pan_core.edge.app import main
sys.exit(main(sys.argv[3:]))
"""


def run_without_torch(bundle, *arguments, folder, absent=ABSENT, program=RUN):
    # -P and no PYTHONPATH: nothing of the repository may be found beside the bundle's own package.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-P", "-c", REFUSE + program, ",".join(absent), str(bundle), *arguments], cwd=folder, env=environment, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
