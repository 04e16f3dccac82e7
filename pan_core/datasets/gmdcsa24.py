"""GMDCSA24: 160 indoor videos of falls and daily activities by four people (Alam et al., 2024).

The four subjects' folders as they are published, or a part of them: videos that the lists name and that are not there
are named in the catalogue. A fall is one class; see `pan_core.datasets.manifests.gmdcsa24_lists` for why, and for how
malformed cells are read.
"""

from pathlib import Path
from typing import ClassVar

from pan_core.datasets.base import Context, Facts, RemoteFile
from pan_core.datasets.manifests.gmdcsa24_lists import CLASSES, is_gmdcsa24
from pan_core.datasets.surveillance import Surveillance
from pan_core.errors import DataError

DOI = "10.5281/zenodo.12921216"
SUBJECTS = ("Subject 1", "Subject 2", "Subject 3", "Subject 4")


class Gmdcsa24(Surveillance):
    """Adapter of GMDCSA24; the subject is the group."""

    name = "gmdcsa24"
    facts: ClassVar = Facts(
        "GMDCSA24",
        classes=len(CLASSES),
        how=f"by hand: https://doi.org/{DOI}, unpacked into <mirror>/gmdcsa24",
        licence="MIT",
        reference="Alam et al., 2024",
    )
    files: ClassVar = tuple(RemoteFile(subject) for subject in SUBJECTS)

    def source(self, context: Context) -> Path:
        """The mirror's folder or the one among the downloads.

        Raises:
            DataError: Where neither has the lists; says how to get them.
        """
        places = [context.cache / "downloads" / self.name]
        if context.mirror:
            places.insert(0, context.mirror / self.name)
        # An archive of a repository unpacks into a folder of its own.
        inner = [path for place in places if place.is_dir() for path in sorted(place.iterdir()) if path.is_dir()]
        for place in (*places, *inner):
            if is_gmdcsa24(place):
                return place
        looked = "".join(f"\n  - {place}" for place in places)
        raise DataError(
            f"gmdcsa24: its lists (Subject N/ADL.csv, Subject N/Fall.csv) are in none of these folders:{looked}\n"
            f"Download it from https://doi.org/{DOI} and unpack it there, or name the mirror folder in PAN_MIRROR",
            code="file.not-at-hand",
        )

    def configured(self, context: Context) -> None:
        """Nothing: it is looked for in the mirror and among the downloads, whatever the options say."""

    def grouping(self, context: Context) -> str:
        """The lists name the subject of every video, and nothing else that people share."""
        return "subject"
