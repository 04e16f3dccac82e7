import re
from pathlib import Path

import pandas as pd
import pytest

from pan_core.quality import check_dataset

ROW = {"n_frames": 9, "fps": 1.0, "people": 1, "visible_joint_share": 1.0, "mean_score": 0.5, "motion": 0.1,
       "max_score": 0.9, "level_share": 0.0, "inside_share": 1.0, "person_share": 1.0, "jitter": 0.0}  # fmt: skip


@pytest.fixture
def docs(tmp_path) -> Path:
    """Pages of a dataset with two clips, of which one has a name that is markup and a label that is not known."""
    rows = [{"clip_id": "a", "label": "x", "part": "train"}, {"clip_id": "<b>&", "label": "y", "part": "test"}]
    result = check_dataset(pd.DataFrame([item | ROW for item in rows]), labels=["x"])
    assert result.write_data_docs(tmp_path / "docs") == tmp_path / "docs" / "index.html"
    return tmp_path / "docs"


def test_the_index_states_each_expectation(docs):
    index = (docs / "index.html").read_text()
    assert "2 of 18 are not met" in index
    assert "labels known" in index
    assert "1 of 2 that break it" in index
    assert "&lt;b&gt;&amp;" in index
    assert "<b>" not in index


def test_nothing_is_loaded_from_elsewhere(docs):
    for page in docs.rglob("*.html"):
        text = page.read_text()
        assert "<script" not in text
        assert not re.search(r"""(src|href)=["']?(https?:)?//|url\(["']?(https?:)?//""", text), page


def test_every_link_leads_to_a_page(docs):
    pages = {page.name for page in docs.iterdir()}
    assert pages == {
        "index.html", "clips.html", "clips_expected.html", "classes.html", "classes_expected.html", "style.css",
    }  # fmt: skip
    for page in docs.rglob("*.html"):
        links = set(re.findall(r'href="([^"#]+)"', page.read_text()))
        assert links
        assert links <= pages


def test_the_pages_of_great_expectations_are_there(docs):
    assert "Unexpected Value" in (docs / "clips.html").read_text()


def test_pages_are_replaced_as_a_whole(docs):
    (docs / "old.html").write_text("old")
    table = pd.DataFrame([ROW | {"clip_id": part, "part": part, "label": "x"} for part in ("train", "test")])
    check_dataset(table).write_data_docs(docs)
    assert not (docs / "old.html").exists()
    assert "every expectation is met" in (docs / "index.html").read_text()
