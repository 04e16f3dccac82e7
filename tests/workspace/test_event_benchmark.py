"""Figures of a row of `pan benchmark events`, on recordings whose events are known by thought."""

import numpy as np
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.live.clip_streams import Recording
from pan_core.recognition.event_rules import Rule
from pan_core.recognition.stream import Recognition
from pan_core.viewer.captions import Caption
from pan_core.workspace.event_benchmark import RESULT, benchmark_events, measure
from pan_core.workspace.event_page import END, write_event_page
from pan_core.workspace.event_streams import RecordedPart, StreamSet, build

RATE = 10.0
KEYS = {"name", "hours", "hits", "misses", "false_alarms", "f1", "delay_p50_s", "delay_p90_s"}


def recording(*pieces: tuple[float, float, bool]) -> Recording:
    """Somebody who may fall: seconds, probability, truth."""
    nothing = Caption("", 0.0)
    values = np.concatenate([np.full(round(seconds * RATE), said) for seconds, said, _ in pieces])
    holds = np.concatenate([np.full(round(seconds * RATE), true) for seconds, _, true in pieces])
    people = [
        [Recognition(0, np.zeros((2, 3)), nothing, nothing, np.ones(1), np.array([0.0, p]), np.ones(2), 0.0)]
        for p in values
    ]
    both = np.stack([np.zeros_like(holds), holds], axis=1).astype(bool)
    return Recording(np.arange(len(values)) / RATE, people, both, RATE)


def streams(rules: dict[str, Rule]) -> StreamSet:
    """A fall that is seen after half a second, one that is not, and something that looks like one."""
    seen = recording((5, 0.1, False), (0.5, 0.1, True), (2, 0.9, True), (5, 0.1, False))
    other = recording((5, 0.1, False), (2, 0.3, True), (5, 0.1, False), (2, 0.6, False), (5, 0.1, False))
    parts = [RecordedPart([seen], rules), RecordedPart([other], rules, ("Walking",))]
    return StreamSet("falls", "falls of somebody", ("Walking", "Falling"), ("Falling",), parts)


def test_a_row_has_the_figures_of_its_streams() -> None:
    row = measure(streams({"Falling": Rule(0.8, 0.5, 0.2)}))
    assert row.keys() >= KEYS
    assert (row["hits"], row["misses"], row["false_alarms"]) == (1, 1, 0)
    assert row["hours"] == pytest.approx((12.5 + 19) / 3600)
    # Above the threshold from 5.5 s on, certain 0.2 s later, of a fall that began at 5 s.
    assert row["delay_p50_s"] == row["delay_p90_s"] == pytest.approx(0.7)
    assert row["f1"] == pytest.approx(2 / 3)
    assert (row["defaults"]["hits"], row["defaults"]["false_alarms"]) == (1, 1)
    assert row["without_example"] == ["Walking"]


def test_hits_and_false_alarms_fall_with_the_threshold() -> None:
    curve = measure(streams({"Falling": Rule(0.8, 0.5, 0.2)}))["curve"]
    at = {point["threshold"]: point for point in curve}
    hours = 31.5 / 3600
    assert at[0.2]["hit_share"] == 1 and at[0.2]["false_alarms_per_hour"] == pytest.approx(1 / hours)
    assert at[0.8]["hit_share"] == 0.5 and at[0.8]["false_alarms_per_hour"] == 0
    assert at[0.95]["hit_share"] == 0


def test_the_page_keeps_what_was_written_by_hand() -> None:
    row = measure(streams({"Falling": Rule(0.8, 0.5, 0.2)}))
    result = {
        "command": "pan benchmark events", "git_commit": "0" * 40, "late_s": 1.0, "shortest_s": 0.5, "tolerance_s": 1.0,
        "streams": [row],
    }  # fmt: skip
    page = write_event_page(result, f"old\n{END}\n\n## By hand\n")
    assert "| falls of somebody | 0.01 | 1 of 2 |" in page and page.endswith(f"{END}\n\n## By hand\n")
    assert write_event_page(result, page) == page


def test_what_is_not_there_is_refused_by_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with refused("benchmark.unknown-stream", DataError) as caught:
        benchmark_events(["jhmdb", "corridor"], tmp_path, say=print)
    assert "corridor" in str(caught.value) and "gmdcsa24_falls" in str(caught.value)
    with refused("benchmark.no-actors", DataError):
        build("actors", tmp_path)
    assert not (tmp_path / RESULT).exists()
