"""Versions of the footage in DVC: the file `footage.dvc` beside it, and the two `dvc` commands that retraining needs."""

import json
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from pan_core.datasets.holdout import BRING_BACK
from pan_core.errors import DataError, PanError
from pan_core.files import atomic_path

CHANGED = {"modified", "deleted"}
"""States of an output, in `dvc status`, that is not as its last version has it. A missing cache alone is none of them."""


class FootageVersion:
    """The last version of a folder.

    Args:
        folder: The footage; its .dvc file lies beside it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder.with_suffix(".dvc")

    @property
    def exists(self) -> bool:
        """Whether the folder was ever given to DVC."""
        return self._path.is_file()

    @property
    def text(self) -> str:
        """Text of the .dvc file; empty if the folder was never given to DVC."""
        return self._path.read_text() if self.exists else ""

    @property
    def md5(self) -> str:
        """DVC's hash of the folder."""
        return YAML(typ="safe").load(self.text)["outs"][0]["md5"].removesuffix(".dir")

    def mend(self, text: str) -> None:
        """Restore the .dvc file if it ends in the middle: DVC writes it in place, and may be killed there.

        Args:
            text: Its text before; empty if it did not exist.
        """
        if not self.exists or self.text.endswith("\n"):
            return
        if text:
            with atomic_path(self._path) as partial:
                partial.write_text(text)
        else:
            self._path.unlink()

    def add(self) -> str:
        """Give the folder as it is now to DVC; returns DVC's hash of it.

        Raises:
            PanError: If DVC cannot take it.
        """
        self._dvc("add", str(self._folder), refusal="DVC cannot take it in")
        return self.md5

    def require_unchanged(self) -> None:
        """Refuse to go on from a folder that is not as its last version has it: damage must not become the next version.

        Raises:
            DataError: If a file of it is changed or missing; names the way back.
            PanError: If DVC cannot compare it.
        """
        if not self.exists:
            return
        printed = self._dvc("status", "--json", str(self._path), refusal="DVC cannot look at it")
        try:
            found = json.loads(printed)
        except ValueError:
            raise PanError(
                f"{self._folder}: expected JSON from `dvc status`, but got {last_lines(printed)!r}",
                code="footage.dvc-failed",
            ) from None
        if _states(found) & CHANGED:
            raise DataError(f"{self._folder}: is not as its last version has it; {BRING_BACK}", code="footage.changed")

    def _dvc(self, *words: str, refusal: str) -> str:
        """Output of a DVC command."""
        done = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise PanError(f"{self._folder}: {refusal}:\n{last_lines(done.stderr)}", code="footage.dvc-failed")
        return done.stdout


def _states(found: dict[str, list]) -> set[str]:
    """States of the outputs in the JSON of `dvc status`: {"x.dvc": [{"changed outs": {"x": "modified"}}]}."""
    changes = [change for stage in found.values() for change in stage if isinstance(change, dict)]
    return {state for change in changes for state in change.get("changed outs", {}).values()}


def last_lines(text: str) -> str:
    """The end of what a command has printed, without progress bars."""
    return "\n".join(line for line in text.splitlines() if "%|" not in line)[-2000:].strip()
