"""Videos that the paper's own network learns from and is compared on: links to JHMDB's training part of split 1.

    python benchmarks/strict_head_videos.py JHMDB OUT

JHMDB holds `splits.zip` and `ReCompress_Videos`, as the authors publish them. Films of which a clip is in the test part are left out. Of
the others about one in ten, by the hash of its name, goes to OUT/held_out and the rest to OUT/train.
"""

import argparse
import hashlib
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pan_core.datasets.hmdb51 import clip_name
from pan_core.datasets.jhmdb import read_splits


def is_held_out(film: str) -> bool:
    return hashlib.sha256(film.encode()).digest()[0] % 10 == 0


def link(jhmdb: Path, out: Path) -> dict[str, int]:
    """Link the videos; how many went where."""
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(jhmdb / "splits.zip") as archive:
        archive.extractall(scratch, [name for name in archive.namelist() if name.startswith("splits/")])
        parts = read_splits(Path(scratch, "splits"))["split1"]
    tested = {clip_name(clip).group for clip, part in parts.items() if part == "test"}
    counts = {"train": 0, "held_out": 0}
    for video in sorted((jhmdb / "ReCompress_Videos").rglob("*.avi")):
        film = clip_name(video.name).group
        if parts.get(video.stem) != "train" or film in tested:
            continue
        part = "held_out" if is_held_out(film) else "train"
        folder = out / part / video.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / video.name).symlink_to(video.resolve())
        counts[part] += 1
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jhmdb", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    print(link(asked.jhmdb, asked.out))
