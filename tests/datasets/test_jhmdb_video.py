"""JHMDB's videos: the layout that the official archive unpacks to, lists of all 21 classes, and the boxes beside them."""

import gzip
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from pan_core.datasets.base import Context
from pan_core.datasets.jhmdb import CLASSES
from pan_core.datasets.jhmdb_video import JhmdbVideo, read_boxes
from pan_core.datasets.splits import check_counts
from pan_core.tables import check_table

KING = "Return_of_the_King_4_wave_u_cm_np1_ri_bad_1"
RACE = "RATRACE_wave_f_nm_np1_fr_goo_37"
BALL = "x_kick_ball_f_nm_np1_fr_goo_0"


def unused(label):
    """A clip of a class that has no other here."""
    return f"Film_{label}_f_nm_np1_fr_goo_0"


class UncheckedJhmdbVideo(JhmdbVideo):
    """Takes archives that are not the official ones; nothing else differs."""

    files = tuple(type(file)(file.name, instead=file.instead) for file in JhmdbVideo.files)


@pytest.fixture
def context(tmp_path, clip):
    """A mirror whose folder is jhmdb's: three videos, and lists that name one more."""
    mirror = tmp_path / "mirror" / "jhmdb"
    for label, name in (("wave", KING), ("wave", RACE), ("kick_ball", BALL)):
        (mirror / "ReCompress_Videos" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, mirror / "ReCompress_Videos" / label / f"{name}.avi")
    lists = {label: f"{unused(label)}.avi 0\n" for label in CLASSES}
    lists |= {
        "wave": f"{KING}.avi 1\n{RACE}.avi 2 \nabsent_wave_u_cm_np1_ri_bad_1.avi 2\n",
        "kick_ball": f"{BALL}.avi 1\n",
    }
    with zipfile.ZipFile(mirror / "splits.zip", "w") as archive:
        for label, text in lists.items():
            archive.writestr(f"splits/{label}_test_split1.txt", text)
            archive.writestr(f"splits/.AppleDouble/{label}_test_split1.txt", b"fork")
            archive.writestr(f"__MACOSX/splits/._{label}_test_split1.txt", b"fork")
    return Context(cache=tmp_path / "cache", mirror=tmp_path / "mirror", download=False, workers=0)


def fetched(context, tmp_path):
    dataset, folder = UncheckedJhmdbVideo(), tmp_path / "raw"
    dataset.fetch(folder, context)
    return dataset, folder, dataset.catalogue(folder, context)


def test_clip_table_says_what_names_lists_and_videos_say(context, tmp_path, clip):
    _, folder, catalogue = fetched(context, tmp_path)
    clips = check_table(catalogue.clips, "clips", "here").set_index("clip_id")
    assert clips[["label", "group", "split1"]].to_dict("index") == {
        BALL: {"label": "kick_ball", "group": "x", "split1": "train"},
        KING: {"label": "wave", "group": "return_of_the_king", "split1": "train"},
        RACE: {"label": "wave", "group": "ratrace", "split1": "test"},
    }
    assert all((folder / path).read_bytes() == clip.read_bytes() for path in clips["path"])
    assert catalogue.quarantine.empty


def test_a_listed_clip_that_is_not_there_is_named_with_its_class(context, tmp_path):
    dataset, _, catalogue = fetched(context, tmp_path)
    absent = {name: dataset.class_of(name) for name in catalogue.missing}
    assert absent == {"absent_wave_u_cm_np1_ri_bad_1": "wave"} | {
        unused(label): label for label in CLASSES if label not in ("wave", "kick_ball")
    }


def test_of_two_videos_of_one_name_one_is_kept_and_the_other_named(context, tmp_path):
    videos = context.mirror / "jhmdb" / "ReCompress_Videos"
    (videos / "more").mkdir()
    shutil.copy(videos / "wave" / f"{RACE}.avi", videos / "more" / f"{RACE}.avi")
    _, _, catalogue = fetched(context, tmp_path)
    assert catalogue.clips["clip_id"].tolist().count(RACE) == 1
    assert catalogue.quarantine["clip_id"].tolist() == [RACE]
    assert "more" in catalogue.quarantine["reason"].iloc[0] or "wave" in catalogue.quarantine["reason"].iloc[0]


def test_a_video_in_the_folder_of_another_class_or_with_a_name_against_the_rule_is_left_out(context, tmp_path):
    videos = context.mirror / "jhmdb" / "ReCompress_Videos"
    (videos / "run").mkdir()
    (videos / "wave" / f"{RACE}.avi").rename(videos / "run" / f"{RACE}.avi")
    (videos / "wave" / f"{KING}.avi").rename(videos / "wave" / "film.avi")
    _, _, catalogue = fetched(context, tmp_path)
    assert catalogue.clips["clip_id"].tolist() == [BALL]
    assert sorted(catalogue.quarantine["clip_id"]) == [RACE, "film"]


def test_one_name_twice_in_the_folder_of_a_class_is_refused(context, tmp_path):
    videos = context.mirror / "jhmdb" / "ReCompress_Videos"
    (videos / "copy" / "wave").mkdir(parents=True)
    shutil.copy(videos / "wave" / f"{RACE}.avi", videos / "copy" / "wave" / f"{RACE}.avi")
    with refused("dataset.second-file"):
        fetched(context, tmp_path)
    assert not (tmp_path / "raw").exists()


def test_the_archive_is_read_as_the_folder_is(context, tmp_path, clip):
    mirror = context.mirror / "jhmdb"
    shutil.rmtree(mirror / "ReCompress_Videos")
    with zipfile.ZipFile(mirror / "JHMDB_video.zip", "w") as archive:
        archive.write(clip, f"ReCompress_Videos/wave/{RACE}.avi")
        archive.writestr(f"ReCompress_Videos/wave/.AppleDouble/{RACE}.avi", b"fork")
        archive.writestr("__MACOSX/ReCompress_Videos/wave/._x.avi", b"fork")
    _, _, catalogue = fetched(context, tmp_path)
    assert catalogue.clips["clip_id"].tolist() == [RACE]


def test_lists_of_all_21_classes_are_needed(context, tmp_path):
    with zipfile.ZipFile(context.mirror / "jhmdb" / "splits.zip", "w") as archive:
        archive.writestr("splits/wave_test_split1.txt", f"{KING}.avi 1\n")
    with refused("splits.missing-list"):
        fetched(context, tmp_path)
    assert not (tmp_path / "raw").exists()


def test_boxes_are_by_clip_and_frame_and_need_not_be_there(context, tmp_path):
    dataset, folder, _ = fetched(context, tmp_path)
    assert dataset.boxes(folder) is None
    shutil.rmtree(folder)
    table = f"clip,frame,x0,y0,x1,y1\n{RACE},1,5,6,7,8\n{KING},0,9,9,20,30\n{RACE},0,1,2,3,4\n"
    (context.mirror / "jhmdb" / "boxes.csv.gz").write_bytes(gzip.compress(table.encode()))
    dataset, folder, _ = fetched(context, tmp_path)
    boxes = dataset.boxes(folder)
    np.testing.assert_array_equal(boxes[RACE], [[1, 2, 3, 4], [5, 6, 7, 8]])
    np.testing.assert_array_equal(boxes[KING], [[9, 9, 20, 30]])


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("boxes.damaged", "clip,frame,x0\na,0,1\n"),
        ("boxes.damaged", "clip,frame,x0,y0,x1,y1\na,0,left,2,3,4\n"),
        ("boxes.frames", "clip,frame,x0,y0,x1,y1\na,0,1,2,3,4\na,2,1,2,3,4\n"),
        ("boxes.frames", "clip,frame,x0,y0,x1,y1\na,0,1,2,3,4\na,0,1,2,3,4\n"),
        ("boxes.empty-box", "clip,frame,x0,y0,x1,y1\na,0,3,2,3,4\n"),
        ("boxes.damaged", "clip,frame,x0,y0,x1,y1\na,0,,2,3,4\n"),
        ("boxes.damaged", "clip,frame,x0,y0,x1,y1\na,0,nan,2,3,4\n"),
        ("boxes.empty-box", "clip,frame,x0,y0,x1,y1\na,0,1,2,inf,4\n"),
        ("boxes.empty", "clip,frame,x0,y0,x1,y1\n"),
    ],
)
def test_boxes_that_make_no_sense_are_refused(tmp_path, code, text):
    (path := tmp_path / "boxes.csv.gz").write_bytes(gzip.compress(text.encode()))
    with refused(code):
        read_boxes(path)


def test_boxes_cut_short_are_refused(tmp_path):
    whole = gzip.compress(b"clip,frame,x0,y0,x1,y1\n" + b"".join(b"a,%d,1,2,3,4\n" % n for n in range(999)))
    (path := tmp_path / "boxes.csv.gz").write_bytes(whole[: len(whole) // 2])
    with refused("boxes.damaged"):
        read_boxes(path)


def test_a_wrong_archive_is_refused_by_its_checksum(context, tmp_path):
    with refused("file.wrong-checksum"):
        JhmdbVideo().fetch(tmp_path / "raw", context)
    assert not (tmp_path / "raw").exists()


def test_the_real_one_is_as_published(real_data, tmp_path):
    """928 videos; 660/268, 658/270 and 663/265 (Jhuang et al., section 3); 31,838 annotated frames."""
    dataset, folder = JhmdbVideo(), tmp_path / "raw"
    context = Context(cache=tmp_path / "cache", mirror=real_data, download=False, workers=0)
    dataset.fetch(folder, context)
    catalogue = dataset.catalogue(folder, context)
    assert not check_counts(catalogue.clips, dataset.facts)
    assert not catalogue.missing
    assert catalogue.quarantine.empty
    boxes = dataset.boxes(folder)
    assert set(boxes) == set(catalogue.clips["clip_id"])
    assert sum(map(len, boxes.values())) == 31_838
    seconds = catalogue.clips.set_index("clip_id").eval("n_frames / fps")
    # Most are 40 pictures in the time of 48: the container says 48, and some of its frames are empty.
    assert seconds.map(lambda each: round(each, 3)).mode().tolist() == [1.6]
    assert np.median([len(own) for own in boxes.values()]) == 40


def test_published_facts():
    splits = {number: tuple(parts.values()) for number, parts in JhmdbVideo.facts.splits.items()}
    assert splits == {1: (660, 268), 2: (658, 270), 3: (663, 265)}
    assert len(CLASSES) == len(set(CLASSES)) == JhmdbVideo.facts.classes == 21
    assert JhmdbVideo().has_video
    assert Path(JhmdbVideo.files[1].urls[0]).name == "JHMDB_video.zip"
