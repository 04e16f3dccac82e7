"""The report is one file that asks for nothing, can be read by everybody, and shows the figures that it was given."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from pan_core.evaluation.explanation import explanation_picture
from pan_core.evaluation.report import Card, PoseAccuracy, Provenance, Relabelling, ReportData, write_report
from pan_core.evaluation.report_background import data_section
from pan_core.evaluation.report_layout import percent
from pan_core.evaluation.split_predictions import WAYS

DARK_PAGE = "(prefers-color-scheme: dark)"


class Page(HTMLParser):
    """Elements with their attributes, and all text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]


@pytest.fixture(scope="module")
def data(predictions, explanation) -> ReportData:
    history = [{"train_loss": 1.0, "val_loss": 1.1, "train_accuracy": 0.5, "val_accuracy": 0.4}] * 2
    return ReportData(
        title="PAN & friends",
        dataset="actors",
        predictions=[
            replace(predictions, mode="clip", labels=predictions.predictions),
            # By segments 2 of 6 clips are right, without relabelling all.
            replace(
                predictions,
                explanations=np.tile([0.0, -1, -2], (6, 1)),
                whole_probabilities=np.eye(3)[predictions.labels],
            ),
        ],
        parameters=468_211,
        created="2030-01-02 03:04",
        histories={"clip mode": history, "online mode": history},
        clips=pd.DataFrame({"train": [12, 11, 10], "test": [2, 2, 2]}, index=["Run", "Walk", "LongJump"]),
        quarantine=pd.DataFrame([["v_<b>x</b>", "pose", "no person found"]], columns=["clip_id", "stage", "reason"]),
        pose_accuracy=PoseAccuracy(predictions.layout.joints, {"true joints": np.full(13, 0.75)}, 0.1, overall=0.77),
        relabelling=Relabelling(
            frame_accuracy={"refined": 0.94, "equal parts": 0.81},
            boundary_errors={"refined": np.array([0.0, 1, -2]), "equal parts": np.array([5.0, -5, 8])},
            clips=3,
        ),
        explanations=[explanation],
        settings={"train": {"epochs": 60}, "seed": 0},
        runs={"train": "3f1a"},
        provenance=[Provenance("Test accuracy", "measured", "dvc repro evaluate")],
        cards=[Card("Latency", "31 ms", "one core")],
        notes=["Weights were found on the internet."],
    )


@pytest.fixture(scope="module")
def text(data, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, data)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def test_it_is_one_file_that_asks_for_nothing(page, text):
    links = page.values("src") + page.values("srcset") + page.values("href")
    assert len(links) > 20
    assert all(link.startswith(("data:image/svg+xml;base64,", "#")) for link in links)
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "iframe", "object")]
    assert "@import" not in text and "url(" not in text


def test_every_picture_has_words_and_a_dark_form(page):
    pictures = [attrs for tag, attrs in page.elements if tag == "img"]
    assert pictures and all(len(attrs["alt"] or "") > 20 for attrs in pictures)
    sources = [attrs for tag, attrs in page.elements if tag == "source"]
    assert len(sources) == len(pictures)
    assert all(attrs["media"] == DARK_PAGE for attrs in sources)


def test_contents_lead_to_sections(page):
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [link.removeprefix("#") for link in page.values("href")]
    assert len(targets) == 15 and set(targets) <= set(ids)


def test_it_fits_a_phone_and_follows_the_readers_colours(page, text):
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.elements
    assert f"@media {DARK_PAGE}" in text


def test_figures_are_shown(data, page):
    shown = page.text
    assert percent(5 / 6) == "83.3\N{NO-BREAK SPACE}%"
    assert percent(5 / 6) in shown, "5 of 6 in online mode"
    assert percent(1.0) in shown, "6 of 6 in clip mode"
    assert "\N{MINUS SIGN}16.7" in shown, "points against clip mode"
    # Said Run throughout; right in clips 0 and 1 (12 frames), in 3 of 6 frames of clip 4 and in 3 of 4 of clip 5.
    assert percent(18 / 34) in shown
    assert percent(0.75) not in shown and percent(0.77) in shown and f"{0.468211:.2f} M" in shown
    assert data.cards[0].value in shown
    assert "93.5" in shown and "63.3" in shown and "cited" in shown and "measured" in shown
    assert percent(2 / 6) in shown, "2 of 6 by segments"
    assert percent(0.94) in shown and percent(0.81) in shown
    assert all(f"{distance:.2f} frames" in shown for distance in (1, 6))
    assert "train.epochs" in shown and "3f1a" in shown and data.provenance[0].how in shown


def test_what_decided_a_clip_is_drawn(explanation, page):
    assert page.values("alt").count(explanation_picture(explanation).alt) == 1


def test_the_sections_come_with_their_pictures(data, text, tmp_path):
    sections = write_report(tmp_path / "again.html", data)
    assert sum(len(section.pictures) for section in sections) == text.count("<img ")


def test_names_from_outside_are_escaped(data, text, page):
    assert "<b>x</b>" not in text
    assert "v_<b>x</b>" in page.text and data.title in page.text


def test_parts_without_data_are_left_out(predictions, tmp_path):
    """Clip mode alone: neither early recognition nor a gap between modes."""
    bare = replace(predictions, mode="clip", frame_targets=None)
    write_report(tmp_path / "report.html", ReportData(title="t", dataset="mine", predictions=[bare], parameters=10))
    page = Page((tmp_path / "report.html").read_text())
    sections = [attrs["id"] for tag, attrs in page.elements if tag == "section"]
    assert sections == ["results", "table1", "classes", "confusion", "confidence", "attention"]
    assert "\N{MINUS SIGN}" not in page.text and WAYS[2].capitalize() not in page.text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_quarantine_of_thousands_is_cut_and_counted(data):
    many = pd.DataFrame({"clip_id": [f"c{n}" for n in range(3000)], "stage": "pose", "reason": "no person found"})
    section = data_section(replace(data, quarantine=many))
    table = section.tables[1]
    assert re.findall(r"\d+", table.caption) == ["3000", "200"]
    assert [row[0].text for row in table.rows] == [f"c{n}" for n in range(200)]


def test_clips_are_summed_over_classes(data):
    table = data_section(data).tables[0]
    assert [cell.text for cell in table.rows[-1]] == ["All", "33", "6"]
