"""Measures of events: by thought, and F1 as the library sed_eval gives it.

`sed_eval.json` holds random streams and what sed_eval 0.2.1 makes of them. The library itself needs a stack for sound (librosa, numba)
that the project has no other use for.
"""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from pan_core.evaluation.event_measures import FoundEvent, count_events, event_f1, spells

RECORDED = json.loads(Path(__file__).with_name("sed_eval.json").read_text())["streams"]


def by_label(rows: list) -> dict:
    found = defaultdict(list)
    for start, end, label in rows:
        found[label].append((start, end))
    return found


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: f"stream {row['seed']}")
@pytest.mark.parametrize("tolerance", ["0.5", "1.0"])
def test_f1_is_that_of_sed_eval(row: dict, tolerance: str) -> None:
    found = event_f1(by_label(row["truth"]), by_label(row["found"]), tolerance_s=float(tolerance))
    assert found == pytest.approx(row[tolerance], abs=1e-9)


def test_f1_of_nothing_is_no_number_and_of_false_alarms_alone_nothing() -> None:
    assert np.isnan(event_f1({}, {}))
    assert event_f1({}, {"a": [(0.0, 1.0)]}) == 0
    assert event_f1({"a": [(0.0, 1.0)]}, {}) == 0


def alarm(certain_s: float) -> FoundEvent:
    return FoundEvent("a", certain_s, certain_s - 0.5, certain_s + 1)


def test_hits_misses_and_false_alarms() -> None:
    truth = [(10.0, 12.0), (20.0, 21.0), (30.0, 30.3)]
    counts = count_events(truth, [alarm(t) for t in (9.9, 10.8, 12.9, 13.1, 31.2)])
    # 10.8 hits, 12.9 is late but excused, 9.9 and 13.1 are false; the short spell excuses 31.2, its alarm counts as a hit.
    assert (counts.hits, counts.misses, counts.false_alarms) == (2, 1, 2)
    assert counts.delays_s == pytest.approx((0.8, 1.2))
    assert counts.delay_s(50) == pytest.approx(1.0)
    assert count_events([], []).delay_s(50) is None


def test_a_short_spell_without_an_event_is_no_miss() -> None:
    assert count_events([(30.0, 30.3)], []).misses == 0


def test_spells_that_nearly_touch_are_one() -> None:
    holds = np.array([0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], bool)
    assert spells(holds, 10.0) == [(0.1, 0.7), (1.7, 1.8)]
    assert spells(np.ones(5, bool), 10.0) == [(0.0, 0.5)]
    assert spells(np.zeros(5, bool), 10.0) == []
