"""What is finished is kept, what is missing is named, what changed is measured anew."""

from dataclasses import replace
from pathlib import Path

import pytest
from refusals import refused

from pan_core.benchmark.poses import pose_parts, pose_table
from pan_core.benchmark.poses.pose_parts import COST, PARTS, PoseSources, TablePart
from pan_core.benchmark.poses.pose_table import measure_table


@pytest.fixture
def sources(tmp_path):
    return PoseSources(cache=tmp_path / "cache", workers=1, no_actors="no clips")


@pytest.fixture
def measured(monkeypatch):
    """The part `small`, in which nothing is drawn: it notes which points it measured."""
    seen: list[str] = []

    def measure(point, sources, progress):
        seen.append(point.name)
        return {"smallest_pixels": len(seen)}

    part = TablePart(("smallest_pixels",), lambda sources: "", lambda point, sources: [], measure, shares_out=True)
    monkeypatch.setitem(PARTS, "small", part)
    return seen


def points_of(point, count=3):
    return [
        replace(point, quality=f"quality {number}", settings=replace(point.settings, look_every=number + 1))
        for number in range(count)
    ]


def test_an_interrupted_run_goes_on_where_it_stopped(movenet, sources, quiet_bar, measured, monkeypatch):
    points, part = points_of(movenet), PARTS["small"]

    def ended(point, sources, progress):
        if point.quality == "quality 2":
            raise KeyboardInterrupt
        return part.measure(point, sources, progress)

    monkeypatch.setitem(PARTS, "small", replace(part, measure=ended))
    with pytest.raises(KeyboardInterrupt):
        measure_table(points, sources, bar=quiet_bar, parts=["small"])
    monkeypatch.setitem(PARTS, "small", part)
    table = measure_table(points, sources, bar=quiet_bar, parts=["small"])
    assert measured == ["movenet quality 0", "movenet quality 1", "movenet quality 2"]
    assert [row["smallest_pixels"] for row in table.rows] == [1, 2, 3]
    measure_table(points, sources, bar=quiet_bar, parts=["small"])
    assert len(measured) == 3


def test_other_settings_other_code_and_a_damaged_file_are_measured_anew(
    movenet, sources, quiet_bar, measured, monkeypatch
):
    def run(point):
        return measure_table([point], sources, bar=quiet_bar, parts=["small"]).rows[0]["smallest_pixels"]

    assert (run(movenet), run(movenet)) == (1, 1)
    assert run(replace(movenet, settings=replace(movenet.settings, search_every=7))) == 2
    (sources.cache / next(iter(sources.cache.glob("small-*.json"))).name).write_text('{"smallest')
    monkeypatch.setattr(pose_table, "measure_code", lambda: "other code")
    assert (run(movenet), run(movenet)) == (3, 3)
    next(iter(path for path in sources.cache.glob("small-*.json") if path.read_text().endswith("3\n}\n"))).write_text(
        '{"'
    )
    assert run(movenet) == 4


def test_other_data_are_measured_anew(movenet, sources, quiet_bar, measured, monkeypatch, tmp_path):
    data = tmp_path / "data"
    data.write_text("some")
    monkeypatch.setitem(PARTS, "small", replace(PARTS["small"], files=lambda point, sources: [data]))
    for text, count in (("some", 1), ("more", 2), ("more", 2)):  # as long as the other
        data.write_text(text)
        measure_table([movenet], sources, bar=quiet_bar, parts=["small"])
        assert len(measured) == count


def test_missing_data_are_named_and_their_figures_are_none(movenet, sources, quiet_bar, measured, tmp_path):
    (tmp_path / "real" / "gmdcsa24" / "Subject 1" / "Fall").mkdir(parents=True)
    (tmp_path / "real" / "gmdcsa24" / "Subject 1" / "Fall" / "13.mp4").write_bytes(b"")
    for real, words in ((None, {"people": "--data", "jhmdb": "--data", "falls": "--data"}),
                        (tmp_path / "real", {"people": "person_keypoints.json", "jhmdb": "boxes.csv.gz", "falls": "8 of 9"})):  # fmt: skip
        table = measure_table([movenet], replace(sources, real=real), bar=quiet_bar, parts=["small"])
        assert {name for name, word in words.items() if word in table.missing[name]} == set(words)
        assert table.missing["actors"] == table.missing["actions"] == table.missing[COST] == "no clips"
        assert table.missing["crossing"] == "not asked for"
        keys = {key for part in PARTS.values() for key in part.keys}
        assert {key for key in keys if table.rows[0][key] is not None} == {"smallest_pixels"}


def test_nothing_that_could_be_measured_is_an_error_before_any_work(movenet, sources, quiet_bar):
    with refused("benchmark.no-data") as caught:
        measure_table([movenet], sources, bar=quiet_bar, parts=["falls", COST])
    assert "PAN_MIRROR" in str(caught.value)
    assert not sources.cache.exists()


def test_unknown_parts_and_models_that_cannot_be_used_are_refused(movenet, sources, quiet_bar, tmp_path):
    with refused("benchmark.unknown-part"):
        measure_table([movenet], sources, bar=quiet_bar, parts=["smal"])
    with refused("pose-model.missing"):
        measure_table([replace(movenet, model=tmp_path / "none.onnx")], sources, bar=quiet_bar, parts=["small"])
    (tmp_path / "cut.onnx").write_bytes(b"not a model")
    with refused("network.damaged"):
        declared = tmp_path / "cut.yaml"
        declared.write_text("model: cut.onnx\nkind: bottom_up\n")
        measure_table([replace(movenet, model=declared)], sources, bar=quiet_bar, parts=["small"])


def test_a_part_in_a_worker_process_gives_what_it_gives_here(movenet, sources, quiet_bar):
    table = measure_table([movenet], sources, bar=quiet_bar, parts=["small"])
    assert table.rows[0] | PARTS["small"].measure(movenet, sources, None) == table.rows[0]
    assert table.rows[0]["smallest_pixels"] in (220, 145, 109, 87)


def test_the_code_that_counts_is_there(tmp_path):
    assert pose_parts.extraction_code() != pose_parts.measure_code()
    assert Path(pose_parts.FALLER_BOXES).is_file()


def test_clips_and_their_cost_are_measured_once_and_the_cost_of_other_points_anew(movenet, sources, quiet_bar, clips):
    sources = replace(sources, actors=clips)
    first, again = (
        measure_table([movenet], sources, bar=quiet_bar, parts=["actors", COST], repeats=1) for _ in range(2)
    )
    assert first == again
    (row,) = first.rows
    assert row["actor_frames"] == 8
    assert row["times_faster"] == 1
    assert row["ms_per_frame"] > 0
    assert first.machine["videos"] == 1
    assert "actors" not in first.missing
    assert COST not in first.missing
    both = [movenet, replace(movenet, settings=replace(movenet.settings, look_every=1))]
    table = measure_table(both, sources, bar=quiet_bar, parts=["actors"], repeats=1)
    assert table.rows[0]["ms_per_frame"] is None
    assert table.missing[COST] == "not asked for"
    assert table.rows[1]["actor_frames"] == 8
