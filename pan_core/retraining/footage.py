"""The footage that was taken, as the dataset `surveillance` reads it, and the part of it that decides for good.

In its folder, `data/footage`, lie a folder for each delivery with its videos and a manifest.csv, the ledger `deliveries.json`,
and `holdout.json` with the videos that no network learns. Between runs the footage is that of its last version.
"""

import shutil
from collections.abc import Collection
from pathlib import Path

from pan_core.datasets.holdout import BRING_BACK, HOLDOUT, Holdout
from pan_core.errors import DataError, PanError
from pan_core.files import scratch_folder
from pan_core.retraining.dvc_versions import FootageVersion
from pan_core.retraining.inbox import folders
from pan_core.retraining.ledger import Ledger
from pan_core.retraining.memory import DeliveryMemory
from pan_core.retraining.transaction import Transaction
from pan_core.workspace.paths import LEDGER


class Footage:
    """A folder of footage with what belongs to it.

    Args:
        folder: The footage; made with the first delivery.
        memory: File of the memory of the runs.

    Attributes:
        folder: The footage.
        memory: What runs remember beside it.
        version: Its last version in DVC.
        transaction: The change that is on trial.
    """

    def __init__(self, folder: Path, memory: Path) -> None:
        self.folder, self.memory, self.version = folder, DeliveryMemory(memory), FootageVersion(folder)
        self.transaction = Transaction(folder, self.version)

    @property
    def ledger(self) -> Ledger:
        """Deliveries that were taken and withdrawn.

        Raises:
            DataError: If the file is damaged.
        """
        return Ledger.read(self.folder)

    @property
    def holdout(self) -> Holdout | None:
        """Videos that decide and validate, None before they are drawn.

        Raises:
            DataError: If the file is damaged.
        """
        path = self.folder / HOLDOUT
        return Holdout.read(path) if path.is_file() else None

    def require_present(self) -> None:
        """Refuse to go on without footage that has a version.

        Raises:
            PanError: Names the way back.
        """
        if self.version.exists and not (self.folder / LEDGER).is_file():
            dvc_file = self.folder.with_suffix(".dvc")
            raise PanError(
                f"{self.folder}: is gone, but {dvc_file} names it; `dvc pull {dvc_file}` or `dvc checkout` brings it back",
                code="footage.gone",
            )

    def sweep(self, arrived: Collection[str]) -> None:
        """Compare folders and ledger; drop what a killed process copied and did not enter, it still lies in the inbox.

        Args:
            arrived: Names of the folders in the inbox.

        Raises:
            DataError: If a delivery or a video is gone, or there is a folder that nobody knows.
        """
        if not self.folder.is_dir():
            return
        with scratch_folder(self.folder, "sweep"):  # which removes what a killed process left behind
            pass
        ledger, there = self.ledger, {folder.name for folder in folders(self.folder)}
        if lost := sorted(ledger.names - there):
            raise DataError(f"{self.folder}: {', '.join(lost)} is gone; {BRING_BACK}", code="footage.delivery-gone")
        if strange := sorted(there - ledger.names - set(arrived)):
            raise DataError(
                f"{self.folder}: {', '.join(strange)} is not in {LEDGER}; move it away, or {BRING_BACK}",
                code="footage.unknown-folder",
            )
        videos = (self.folder / entry["name"] / video for entry in ledger.taken for video in entry["hashes"])
        if absent := [path for path in videos if not path.is_file()]:
            raise DataError(
                f"{self.folder}: {len(absent)} videos are gone, such as {absent[0]}; {BRING_BACK}",
                code="footage.video-gone",
            )
        for name in there - ledger.names:
            shutil.rmtree(self.folder / name)
