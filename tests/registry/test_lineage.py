"""Where clips come from, and what of it two sets of clips share."""

import json

import pandas as pd
import pytest

from pan_core.registry.lineage import Lineage


def lineage(groups, *, grouping="subject", hashes=None):
    ids = [f"clip{number}" for number in range(len(groups))]
    clips = pd.DataFrame({"clip_id": ids, "group": groups})
    index = pd.DataFrame({"clip_id": [*ids, "other"], "video_sha256": [*(hashes or [""] * len(ids)), "ff"]})
    return Lineage.of(clips, index, grouping)


@pytest.mark.parametrize(
    ("learnt", "test", "shared"),
    [
        (["ann", "ben"], ["cem"], []),
        (["ann", "Subject 1"], ["subject_1"], ["subject1"]),
        (["ann+ben"], ["ben"], ["ben"]),
    ],
)
def test_people_are_known_however_they_are_spelt_and_joined(learnt, test, shared):
    assert lineage(learnt).shared_with(lineage(test)) == shared


def test_groups_of_a_dataset_are_compared_to_the_letter():
    """There a "g_1" need not be a "g1"."""
    assert lineage(["g_1"], grouping="").shared_with(lineage(["g1"], grouping="")) == []
    assert lineage(["g1", ""], grouping="").groups == {"g1", "clip clip1"}


def test_a_video_is_known_by_its_content():
    learnt, test = lineage(["ann"], hashes=["aa"]), lineage(["hall"], grouping="camera", hashes=["aa"])
    assert learnt.shared_with(test) == ["the video with SHA-256 aa"]
    assert learnt.shared_with(lineage(["hall"], grouping="camera", hashes=["bb"])) is None


def test_it_survives_its_file_and_an_old_file_without_a_grouping_says_little(tmp_path):
    whole = lineage(["ann"], hashes=["aa"]) | lineage(["ben"], hashes=["bb"])
    (tmp_path / "lineage.json").write_text(json.dumps(whole.as_dict()))
    assert Lineage.read(tmp_path) == whole
    (tmp_path / "lineage.json").write_text('{"groups": ["ann"]}')
    assert Lineage.read(tmp_path).shared_with(lineage(["cem"])) is None
    (tmp_path / "lineage.json").unlink()
    assert Lineage.read(tmp_path) is None
