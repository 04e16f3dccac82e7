"""HMDB51: odd names, a list a class and split, archives in an archive."""

import shutil
import zipfile
from pathlib import Path

import pytest
from refusals import refused

from pan_core.datasets.base import Context, RemoteFile
from pan_core.datasets.faults import FaultsError
from pan_core.datasets.hmdb51 import CLASSES, FACTS, Hmdb51, clip_name, read_name, read_splits
from pan_core.tables import check_table

WAVE = ["RATRACE_wave_f_nm_np1_fr_goo_37.avi", "Goal #_2 (a & b)!_wave_u_cm_np2_ba_bad_3.avi", "x_wave_h_cm_np1_le_med_0.avi"]  # fmt: skip
SWORD = ["RATRACE_sword_f_nm_np1_fr_goo_1.avi"]


def unused(label):
    """A clip of a class that has no other here."""
    return f"Film_{label}_f_nm_np1_fr_goo_0"


OTHERS = [unused(label) for label in CLASSES if label not in ("wave", "sword")]


@pytest.fixture
def lists(tmp_path):
    """One split, 51 lists, all but two with a clip that is not used; each line ends with a blank as in the official files."""
    folder = tmp_path / "mirror" / "hmdb51" / "testTrainMulti_7030_splits"
    folder.mkdir(parents=True)
    for label in CLASSES:
        (folder / f"{label}_test_split1.txt").write_text(f"{unused(label)}.avi 0 \n")
    (folder / "wave_test_split1.txt").write_text("".join(f"{n} {f} \n" for n, f in zip(WAVE, (1, 2, 0), strict=True)))
    (folder / "sword_test_split1.txt").write_text(f"{SWORD[0]} 1 \n")
    return folder


@pytest.fixture
def mirror(lists, clip):
    for label, names in (("wave", WAVE), ("sword", SWORD)):
        folder = lists.parent / "hmdb51_org" / label
        folder.mkdir(parents=True)
        for name in names:
            shutil.copy(clip, folder / name)
    return lists.parent


@pytest.mark.parametrize(
    ("name", "film"),
    [
        ("Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi", "turnk_r_pippi_michel"),
        ("RATRACE_wave_f_nm_np1_fr_goo_37", "ratrace"),
        ("Return_of_the_King_1_draw_sword_u_cm_np1_fr_med_0.avi", "return_of_the_king"),
        ("return_of_the_king_11_draw_sword_u_cm_np1_fr_med_0.avi", "return_of_the_king"),
        ("Goalkeeper_Training_Day_#_2_catch_f_cm_np1_ba_bad_3.avi", "goalkeeper_training_day"),
        (
            "The_Three_Musketeers_(1993)_Final_Battle_1_3_fencing_f_cm_np2_ba_med_0.avi",
            "the_three_musketeers_(1993)_final_battle",
        ),
        ("Dhan_Dhana_-_3_16_kick_ball_f_cm_np1_ba_bad_3", "dhan_dhana"),
        ("how_to_kick_kick_ball_f_cm_np1_ba_bad_3.avi", "how_to_kick"),
        ("a wave in (b) & c_wave_l_nm_np10_ri_goo_12.avi", "a wave in (b) & c"),
    ],
)
def test_the_film_of_a_clip(name, film):
    assert clip_name(name).group == film


@pytest.mark.parametrize("name", ["wave.avi", "RATRACE_wve_f_nm_np1_fr_goo_37.avi", "_wave_f_nm_np1_fr_goo_37.avi", ""])
def test_other_names_are_refused(name):
    with refused("clip.name"):
        clip_name(name)


def test_the_class_is_the_longest_that_fits():
    assert read_name(Path("draw_sword/X_draw_sword_u_cm_np1_fr_med_0.avi")).label == "draw_sword"
    assert read_name(Path("sword_exercise/X_sword_exercise_u_cm_np1_fr_med_0.avi")).label == "sword_exercise"
    assert read_name(Path("climb/X_climb_u_cm_np1_fr_med_0.avi")).label == "climb"
    with refused("clip.other-folder") as caught:
        read_name(Path("sword/X_draw_sword_u_cm_np1_fr_med_0.avi"))
    assert "sword/" in str(caught.value)


def test_flags_are_parts(lists):
    assert read_splits(lists) == {
        "split1": {
            Path(WAVE[0]).stem: "train",
            Path(WAVE[1]).stem: "test",
            Path(WAVE[2]).stem: "unused",
            Path(SWORD[0]).stem: "train",
            **dict.fromkeys(OTHERS, "unused"),
        }
    }


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("wave_test_split1.txt", f"{WAVE[0]} 1\n{WAVE[0]} 2\n", "splits.both-parts"),
        ("wave_test_split1.txt", f"{WAVE[0]} 3\n", "splits.line"),
        ("wave_test_split1.txt", f"{WAVE[0]}\n", "splits.line"),
        ("wave_test_split1.txt", "1\n", "splits.line"),
        ("wave_test_split1.txt", f"{SWORD[0]} 1\n", "splits.other-class"),
        ("wave_test_split1.txt", "", "splits.empty-list"),
        ("wave_test_split1.txt", f"{WAVE[0]} 1\n{WAVE[0]} 1\n", "splits.named-twice"),
        ("wave_test_split01.txt", f"{WAVE[0]} 1\n", "splits.second-list"),
        ("wave_test_splitX.txt", "", "splits.list-name"),
        ("wafe_test_split1.txt", "Film_wafe_f_nm_np1_fr_goo_0.avi 1\n", "splits.unknown-class"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(lists, name, text, code):
    (lists / name).write_text(text)
    with refused("splits.faults", FaultsError) as caught:
        read_splits(lists)
    assert caught.value.codes == (code,)
    assert name in str(caught.value)


def test_missing_lists_are_named(lists):
    (lists / "wave_test_split1.txt").unlink()
    (lists / "hug_test_split2.txt").touch()
    with refused("splits.faults", FaultsError) as caught:
        read_splits(lists)
    assert caught.value.codes == ("splits.missing-list",) * 51 + ("splits.empty-list",)
    assert caught.value.faults[0].startswith("wave_test_split1.txt:")
    with refused("splits.no-lists"):
        read_splits(lists.parent)


def test_a_split_that_is_left_out_is_named(lists):
    for path in lists.glob("*_split1.txt"):
        path.with_name(path.name.replace("split1", "split3")).write_text(path.read_text())
    with refused("splits.faults", FaultsError) as caught:
        read_splits(lists)
    assert caught.value.codes == ("splits.missing-split",)


def check_catalogue(folder, offline):
    catalogue = Hmdb51().catalogue(folder, offline)
    clips = check_table(catalogue.clips, "clips", "test").set_index("clip_id")
    assert sorted(clips.index) == sorted(Path(name).stem for name in WAVE + SWORD)
    assert clips.loc[Path(WAVE[1]).stem, ["label", "group", "split1", "n_frames"]].tolist() == [
        "wave",
        "goal #_2 (a & b)!",
        "test",
        6,
    ]
    assert sorted(catalogue.missing) == sorted(OTHERS)
    assert catalogue.quarantine.empty


def test_fetch_links_a_mirror_of_folders(mirror, offline, tmp_path):
    Hmdb51().fetch(tmp_path / "raw", offline)
    check_catalogue(tmp_path / "raw", offline)


class Archived(Hmdb51):
    """HMDB51 with archives whose checksums nobody knows."""

    files = (RemoteFile("lists.zip"), RemoteFile("videos.zip"))


def test_fetch_unpacks_archives_in_an_archive(lists, clip, offline, tmp_path):
    # What an archive is, is found from its content: zip archives with the inner ones' official names.
    with zipfile.ZipFile(lists.parent / "lists.zip", "w") as archive:
        for path in lists.iterdir():
            archive.write(path, f"testTrainMulti_7030_splits/{path.name}")
    for label, names in (("wave", WAVE), ("sword", SWORD)):
        with zipfile.ZipFile(tmp_path / f"{label}.rar", "w") as inner:
            for name in names:
                inner.write(clip, f"{label}/{name}")
    with zipfile.ZipFile(lists.parent / "videos.zip", "w") as outer:
        for label in ("wave", "sword"):
            outer.write(tmp_path / f"{label}.rar", f"{label}.rar")
    Archived().fetch(tmp_path / "raw", offline)
    check_catalogue(tmp_path / "raw", offline)


def test_a_file_twice_is_kept_once(mirror, offline, tmp_path):
    Hmdb51().fetch(tmp_path / "raw", offline)
    spare = tmp_path / "raw" / "videos" / "zz spare"
    spare.mkdir()
    shutil.copy(mirror / "hmdb51_org" / "wave" / WAVE[0], spare / WAVE[0])
    catalogue = Hmdb51().catalogue(tmp_path / "raw", offline)
    assert len(catalogue.clips) == 4
    assert catalogue.quarantine["clip_id"].tolist() == [Path(WAVE[0]).stem]
    assert f"spare/{WAVE[0]}" in catalogue.quarantine["reason"][0]


def test_fetch_leaves_nothing_where_videos_cannot_be_had(lists, offline, tmp_path):
    with refused("file.not-at-hand") as caught:
        Hmdb51().fetch(tmp_path / "raw", offline)
    assert "hmdb51_org" in str(caught.value)
    assert not (tmp_path / "raw").exists()


def test_the_classes_are_those_of_the_official_lists(real_data):
    folder = real_data / "hmdb51" / "testTrainMulti_7030_splits"
    assert (
        tuple(sorted(path.name.removesuffix("_test_split1.txt") for path in folder.glob("*_test_split1.txt")))
        == CLASSES
    )
    assert len(CLASSES) == FACTS.classes


def test_the_real_mirror_goes_through(real_data, tmp_path):
    context = Context(cache=tmp_path / "cache", mirror=real_data, workers=0, download=False)
    Hmdb51().fetch(tmp_path / "raw", context)
    catalogue = Hmdb51().catalogue(tmp_path / "raw", context)
    assert dict(zip(catalogue.clips["label"], catalogue.clips["group"], strict=True)) == {
        "cartwheel": "turnk_r_pippi_michel",
        "wave": "ratrace",
    }
    assert len(catalogue.missing) == 6764
