"""Changes to the footage that can be taken back: what a run changes is on trial until `end`.

The footage as it was lies in `.footage.before` beside it. A run that was killed leaves it there, and the next one brings
it back.
"""

import shutil
from pathlib import Path

from pan_core.datasets.surveillance import place
from pan_core.errors import DataError
from pan_core.files import atomic_path, read_json, scratch_folder, write_json
from pan_core.retraining.dvc_versions import FootageVersion


class Transaction:
    """A change to a folder.

    Args:
        folder: The footage.
        version: Its version in DVC.
    """

    def __init__(self, folder: Path, version: FootageVersion) -> None:
        self._folder, self._version = folder, version
        self._before = folder.with_name(f".{folder.name}.before")

    def begin(self) -> None:
        """Put the footage by as it is, without a second copy if the file system can link: until `end` it can be brought back.

        Raises:
            DataError: If it is a link, whose target cannot be exchanged.
        """
        if self._folder.is_symlink():
            raise DataError(
                f"{self._folder}: is a link; move what it points to here, or mount it above this folder",
                code="footage.link",
            )
        self.recover()
        with atomic_path(self._before) as partial:
            partial.mkdir()
            write_json(partial / "state.json", {"version": self._version.text, "there": self._folder.is_dir()})
            if self._folder.is_dir():
                shutil.copytree(
                    self._folder, partial / "footage", copy_function=lambda one, other: place(Path(one), Path(other))
                )

    def recover(self) -> None:
        """Bring the footage back to where it was when `begin` was called last, unless `end` was.

        If it has another version since, its trial had gone well, or a person has put something else in its place.
        """
        if not self._before.is_dir():
            return
        state, kept = read_json(self._before / "state.json"), self._before / "footage"
        self._version.mend(state["version"])
        # If it was killed in here after the footage was back, the copy is gone.
        if state["version"] == self._version.text and (kept.is_dir() or not state["there"]):
            if self._folder.is_dir():
                shutil.rmtree(self._folder)
            if state["there"]:
                kept.rename(self._folder)
        self.end()

    def end(self) -> None:
        """Keep the footage as it is now."""
        if self._before.is_dir():
            with scratch_folder(self._folder.parent, "before") as scratch:
                self._before.rename(scratch / "before")
