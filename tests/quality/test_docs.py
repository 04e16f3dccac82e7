import html
import re
from pathlib import Path

import pandas as pd
import pytest

from pan_core.quality import check_dataset
from pan_core.quality.docs import write_data_docs

ROW = {"n_frames": 9, "fps": 1.0, "people": 1, "visible_joint_share": 1.0, "mean_score": 0.5, "motion": 0.1,
       "max_score": 0.9, "level_share": 0.0, "inside_share": 1.0, "person_share": 1.0, "jitter": 0.0}  # fmt: skip


@pytest.fixture
def result():
    """Two clips, of which one has a name that is markup and a label that is not known."""
    rows = [{"clip_id": "a", "label": "x", "part": "train"}, {"clip_id": "<b>&", "label": "y", "part": "test"}]
    return check_dataset(pd.DataFrame([item | ROW for item in rows]), labels=["x"])


@pytest.fixture
def docs(result, tmp_path) -> Path:
    """Its pages."""
    assert write_data_docs(result, tmp_path / "docs") == tmp_path / "docs" / "index.html"
    return tmp_path / "docs"


def test_the_index_states_each_expectation(result, docs):
    index = (docs / "index.html").read_text()
    assert all(f"<td>{html.escape(finding.name)}" in index for finding in result.findings)
    assert index.count('class="failed"') == 2
    assert "2 of 18 are not met" in index
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
    assert "Unexpected" in (docs / "clips.html").read_text()


def test_pages_are_replaced_as_a_whole(docs):
    (docs / "old.html").write_text("old")
    table = pd.DataFrame([ROW | {"clip_id": part, "part": part, "label": "x"} for part in ("train", "test")])
    write_data_docs(check_dataset(table), docs)
    assert not (docs / "old.html").exists()
    assert 'class="failed"' not in (docs / "index.html").read_text()
