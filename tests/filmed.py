"""A few drawn videos in the layout of JHMDB: two classes, a scene without people, a foot alone, and files that are damaged or absent."""

import gzip
import zipfile
from pathlib import Path

import cv2
import numpy as np

from pan_core.datasets.actors import Performer, render_scene
from pan_core.datasets.jhmdb import CLASSES
from pan_core.datasets.jhmdb_video import JhmdbVideo

FRAMES = 8
NOBODY, FOOT = "nobody_wave_f_nm_np1_fr_goo_0", "foot_walk_l_nm_np1_fr_goo_0"
ABSENT, DAMAGED = "absent_wave_u_cm_np1_ri_bad_1", "damaged_walk_f_nm_np1_fr_goo_0"


def name_of(label: str, number: int) -> str:
    return f"film{number}_{label}_f_nm_np1_fr_goo_{number}"


WHOLE = {label: [name_of(label, number) for number in range(5)] for label in ("walk", "wave")}
PARTS = {ABSENT: 2, NOBODY: 2, FOOT: 2, DAMAGED: 1} | {
    name: 2 if number == 4 else 1 for names in WHOLE.values() for number, name in enumerate(names)
}


class Filmed(JhmdbVideo):
    """Takes files that are not the official ones; nothing else differs."""

    files = tuple(type(file)(file.name, instead=file.instead) for file in JhmdbVideo.files)


def boxes_of(joints: np.ndarray, margin: float = 12.0) -> np.ndarray:
    """Boxes (T, 4) around true joints (T, V, 3), as a mask of the whole body would have them."""
    return np.concatenate([joints[..., :2].min(axis=1) - margin, joints[..., :2].max(axis=1) + margin], axis=1)


def write_video(path: Path, frames: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 15.0, frames.shape[2:0:-1])
    for frame in frames:
        writer.write(np.ascontiguousarray(frame))
    writer.release()


def make_mirror(mirror: Path) -> None:
    """Everything but the absent video, below `<mirror>/jhmdb`."""
    folder, rows = mirror / "jhmdb", []
    waving, wave = render_scene([Performer("Waving")], frames=FRAMES)
    walking, walk = render_scene([Performer("Walking")], frames=FRAMES)
    for label, frames, joints in (("wave", waving, wave), ("walk", walking, walk)):
        for name in WHOLE[label]:
            write_video(folder / "ReCompress_Videos" / label / f"{name}.avi", frames)
            rows += [f"{name},{t},{','.join(map(str, box))}" for t, box in enumerate(boxes_of(joints[0]))]
    nothing = np.full_like(waving, 90)
    write_video(folder / "ReCompress_Videos" / "wave" / f"{NOBODY}.avi", nothing)
    ankle = walk[0, 0, 10, :2].astype(int)
    foot = nothing.copy()
    foot[:, :40, 100:140] = walking[0, ankle[1] - 20 : ankle[1] + 20, ankle[0] - 20 : ankle[0] + 20]
    write_video(folder / "ReCompress_Videos" / "walk" / f"{FOOT}.avi", foot)
    rows += [f"{name},{t},100,1,140,40" for name in (NOBODY, FOOT) for t in range(FRAMES)]
    (folder / "ReCompress_Videos" / "walk" / f"{DAMAGED}.avi").write_bytes(b"no video")
    (folder / "boxes.csv.gz").write_bytes(gzip.compress("\n".join(["clip,frame,x0,y0,x1,y1", *rows, ""]).encode()))
    with zipfile.ZipFile(folder / "splits.zip", "w") as archive:
        for label in CLASSES:
            lines = [f"{name}.avi {part}" for name, part in PARTS.items() if f"_{label}_" in name]
            archive.writestr(
                f"splits/{label}_test_split1.txt", "\n".join(lines or [f"x_{label}_f_nm_np1_fr_goo_0.avi 0"])
            )
