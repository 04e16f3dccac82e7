"""JHMDB: archives made here in exactly the layout of the official ones, with what a Macintosh leaves behind."""

import io
import zipfile

import numpy as np
import pytest
from refusals import refused
from scipy.io import savemat

from pan_core.datasets.base import Context
from pan_core.datasets.jhmdb import Jhmdb, read_joints
from pan_core.skeletons import JHMDB15
from pan_core.tables import check_table

KING = "Return_of_the_King_4_wave_u_cm_np1_ri_bad_1"
RACE = "RATRACE_wave_f_nm_np1_fr_goo_37"
BRUSH = "April_09_brush_hair_u_nm_np1_ba_goo_0"


def mat(frames=3, **fields):
    """Joint v of frame t stands at (10 v + t, 100 + v) counted from 1."""
    v, t = np.meshgrid(np.arange(15), np.arange(frames), indexing="ij")
    content = {"pos_img": np.stack([10.0 * v + t, 100.0 + v]), "pos_world": np.zeros((2, 15, frames)),
               "scale": np.ones((1, frames)), "viewpoint": "N"} | fields  # fmt: skip
    buffer = io.BytesIO()
    savemat(buffer, content)
    return buffer.getvalue()


class UncheckedJhmdb(Jhmdb):
    """Takes archives that are not the official ones; nothing else differs."""

    files = tuple(type(file)(file.name) for file in Jhmdb.files)


@pytest.fixture
def made(tmp_path):
    """Function (positions, splits) that fetches archives with these members; gives dataset, folder and context."""

    def fetch(positions, splits):
        mirror = tmp_path / "mirror" / "jhmdb"
        mirror.mkdir(parents=True)
        for name, members in (("joint_positions.zip", positions), ("splits.zip", splits)):
            with zipfile.ZipFile(mirror / name, "w") as archive:
                for member, content in members.items():
                    archive.writestr(member, content)
        dataset, folder = UncheckedJhmdb(), tmp_path / "raw"
        context = Context(cache=tmp_path / "cache", mirror=tmp_path / "mirror", download=False)
        dataset.fetch(folder, context)
        return dataset, folder, context

    return fetch


def positions(**changes):
    members = {
        f"joint_positions/wave/{KING}/joint_positions.mat": mat(),
        f"joint_positions/wave/{RACE}/joint_positions.mat": mat(frames=1),
        f"joint_positions/brush_hair/{BRUSH}/joint_positions.mat": mat(frames=5),
        "joint_positions/.DS_Store": b"finder",
        f"__MACOSX/joint_positions/wave/{KING}/._joint_positions.mat": b"fork",
        f"joint_positions/.AppleDouble/wave/{RACE}/joint_positions.mat": b"fork",
        "joint_positions/README.txt": b"words",
    }
    return members | changes


SPLITS = {
    "splits/wave_test_split1.txt": f"{KING}.avi 1\n{RACE}.avi 2 \n",
    "splits/wave_test_split2.txt": f"{KING}.avi 2\r\n{RACE}.avi 1\r\n",
    "splits/brush_hair_test_split1.txt": f"{BRUSH}.avi 1\n",
    "splits/brush_hair_test_split2.txt": f"{BRUSH}.avi 1\n",
    "__MACOSX/splits/._wave_test_split1.txt": b"\x00\x05fork",
}


def test_clip_table_and_poses_say_what_the_files_say(made):
    dataset, folder, context = made(positions(), SPLITS)
    catalogue = dataset.catalogue(folder, context)
    clips = check_table(catalogue.clips, "clips", "here")
    columns = ["clip_id", "label", "group", "n_frames", "width", "height", "split1", "split2"]
    assert clips[columns].to_numpy().tolist() == [
        [BRUSH, "brush_hair", "april", 5, 320, 240, "train", "train"],
        [RACE, "wave", "ratrace", 1, 320, 240, "test", "train"],
        [KING, "wave", "return_of_the_king", 3, 320, 240, "train", "test"],
    ]
    assert catalogue.quarantine.empty
    assert catalogue.missing == ()
    poses = {pose.clip_id: pose.joints for pose in dataset.poses(folder, clips)}
    assert {name: joints.shape for name, joints in poses.items()} == {
        BRUSH: (1, 5, 15, 3),
        RACE: (1, 1, 15, 3),
        KING: (1, 3, 15, 3),
    }
    assert poses[KING][0, 2, JHMDB15.index("left_elbow")].tolist() == [81, 107, 1]


def test_listed_clips_that_are_not_there_are_missing(made):
    dataset, folder, context = made(
        positions(), SPLITS | {"splits/wave_test_split1.txt": f"{KING}.avi 1\n{RACE}.avi 2\ngone.avi 2\n"}
    )
    catalogue = dataset.catalogue(folder, context)
    assert catalogue.missing == ("gone",)
    assert len(catalogue.clips) == 3


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("jhmdb.damaged", b"<html>404</html>"),
        ("jhmdb.damaged", b""),
        ("jhmdb.damaged", mat()[:300]),
        ("jhmdb.shape", mat(pos_img=np.ones((2, 13, 3)))),
        ("jhmdb.shape", mat(pos_img="text")),
        ("jhmdb.not-finite", mat(pos_img=np.full((2, 15, 3), np.nan))),
    ],
)
def test_a_damaged_clip_goes_to_quarantine(made, code, content):
    dataset, folder, context = made(positions(**{f"joint_positions/wave/{KING}/joint_positions.mat": content}), SPLITS)
    catalogue = dataset.catalogue(folder, context)
    assert catalogue.clips["clip_id"].tolist() == [BRUSH, RACE]
    (row,) = check_table(catalogue.quarantine, "quarantine", "here").itertuples()
    assert row.clip_id == KING
    (path,) = folder.rglob(f"wave/{KING}/joint_positions.mat")
    with refused(code) as caught:
        read_joints(path)
    assert row.reason == str(caught.value)
    assert catalogue.missing == ()


@pytest.mark.parametrize(
    ("code", "named", "name"),
    [
        ("splits.second-list", "wave_test_split01.txt", "splits/wave_test_split01.txt"),
        ("splits.list-name", "wave_test_splitX.txt", "splits/wave_test_splitX.txt"),
        ("splits.missing-list", "run_test_split2.txt", "splits/run_test_split1.txt"),
        ("splits.missing-list", "brush_hair_test_split3.txt", "splits/wave_test_split4.txt"),
    ],
)
def test_lists_that_do_not_belong_together_are_said(made, code, named, name):
    dataset, folder, context = made(positions(), SPLITS | {name: "a.avi 1\n"})
    with refused(code) as caught:
        dataset.catalogue(folder, context)
    assert named in str(caught.value)


def test_a_class_without_lists_is_said(made):
    dataset, folder, context = made(positions(**{"joint_positions/run/odd/joint_positions.mat": mat()}), SPLITS)
    with refused("splits.missing-list") as caught:
        dataset.catalogue(folder, context)
    assert "run_test_split1.txt" in str(caught.value)


def test_the_film_of_a_name_against_the_rule_is_not_known(made):
    dataset, folder, context = made(positions(**{"joint_positions/wave/odd/joint_positions.mat": mat()}), SPLITS)
    clips = dataset.catalogue(folder, context).clips.set_index("clip_id")
    assert clips.loc["odd", ["group", "split1"]].tolist() == ["", "unused"]


@pytest.mark.parametrize(
    ("code", "where", "text"),
    [
        ("splits.line", "line 2:", "a.avi 1\nb.avi 3\n"),
        ("splits.line", "line 1:", "alone\n"),
        ("splits.both-parts", "line 2:", "a.avi 1\na.avi 2\n"),
        ("splits.named-twice", "line 2:", "a.avi 1\na.avi 1\n"),
        ("splits.named-twice", "line 2:", "a.avi 1\nA.avi 2\n"),
        ("splits.empty-list", "", "\n"),
    ],
)
def test_a_list_that_contradicts_itself_is_said(made, code, where, text):
    dataset, folder, context = made(positions(), SPLITS | {"splits/wave_test_split1.txt": text})
    with refused(code) as caught:
        dataset.catalogue(folder, context)
    assert where in str(caught.value)
    assert "wave_test_split1.txt" in str(caught.value)


def test_archives_without_what_is_needed_are_said(made):
    dataset, folder, context = made({"readme.txt": b"x", **positions()}, {"readme.txt": b"x"})
    with refused("splits.no-lists"):
        dataset.catalogue(folder, context)


def test_joints_of_another_archive_are_said(made):
    dataset, folder, context = made({"joint_positions/README.txt": b"x"}, SPLITS)
    with refused("jhmdb.no-clip"):
        dataset.catalogue(folder, context)


def test_a_wrong_archive_is_refused_by_its_checksum(tmp_path):
    mirror = tmp_path / "mirror" / "jhmdb"
    mirror.mkdir(parents=True)
    (mirror / "joint_positions.zip").write_bytes(b"another file")
    with refused("file.wrong-checksum") as caught:
        Jhmdb().fetch(tmp_path / "raw", Context(cache=tmp_path / "cache", mirror=tmp_path / "mirror", download=False))
    assert "joint_positions.zip" in str(caught.value)
    assert not (tmp_path / "raw").exists()


def test_published_facts():
    """928 clips of 21 classes (Jhuang et al., section 3); 660 and 268 in split 1."""
    assert Jhmdb.facts.clips == 928 == sum(Jhmdb.facts.splits[1].values())
    assert Jhmdb.facts.classes == 21
