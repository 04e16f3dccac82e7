"""From drawn to real: every class has its counterpart, every listed clip counts, nothing real is trained on."""

import json

import numpy as np
import pytest
from refusals import refused

from pan_core.benchmark.actors_to_real import MEANS, TransferRequest, choose, drawn_samples
from pan_core.benchmark.request import parse_modes
from pan_core.benchmark.results_page import write_results_page
from pan_core.datasets.actors import CLASSES, ActorsSettings
from pan_core.datasets.actors.skeletons_only import draw_skeletons
from pan_core.datasets.jhmdb import CLASSES as JHMDB
from pan_core.errors import ConfigError


def test_each_real_class_has_drawn_ones_of_its_own():
    assert set(MEANS) <= set(JHMDB)
    shown = [own for classes in MEANS.values() for own in classes]
    assert len(shown) == len(set(shown))
    assert set(shown) <= set(CLASSES)


def test_parts_of_one_answer_count_together_and_what_means_nothing_here_does_not_count():
    """0.3 + 0.3 for the two jumps is more than 0.35 for the run; 0.9 for a fall is no answer of JHMDB's nine."""
    classes = sorted(CLASSES)
    stated = np.zeros((2, len(classes)))
    for name, value in (("Jumping", 0.3), ("LongJump", 0.3), ("Running", 0.35), ("Falling", 0.05)):
        stated[0, classes.index(name)] = value
    for name, value in (("Falling", 0.9), ("Clapping", 0.06), ("Waving", 0.04)):
        stated[1, classes.index(name)] = value
    assert list(choose(stated, classes)) == ["jump", "clap"]


@pytest.mark.parametrize("mode", ["clip", "online"])
def test_drawn_samples_have_the_true_actions(mode):
    settings = ActorsSettings(min_frames=12, max_frames=15)
    samples = drawn_samples(list(draw_skeletons(settings, 1)), mode=mode, frames=32, rate=15.0)
    assert list(samples.classes) == sorted(CLASSES)
    assert len(samples) == len(CLASSES)
    run_up = list(samples.clip_ids).index("v_LongJump_drawn_c0000")
    held = samples.holds[samples.offsets[run_up] : samples.offsets[run_up + 1]]
    actions = [samples.actions[row.argmax()] for row in held]
    assert (actions[0], actions[-1]) == ("Running", "Jumping")
    assert (held.sum(axis=1) == 1).all()


def test_unknown_modes_are_refused():
    with refused("benchmark.words", ConfigError) as caught:
        parse_modes("clip,offline")
    assert "offline" in str(caught.value)
    with refused("benchmark.words", ConfigError):
        parse_modes(",")
    assert parse_modes("online,online") == ("online",)


def test_page_shows_the_figures_of_the_file(tmp_path):
    by_class = dict.fromkeys(MEANS, 0.25)
    figures = {"accuracy": 0.512, "std": None, "interval95": [0.4, 0.6], "by_class": by_class}
    result = {
        "dataset": "actors_to_real",
        "tested_on": "jhmdb_video",
        "split": 1,
        "command": TransferRequest(1, ("clip",), 60, 10).command(),
        "class_names": list(MEANS),
        "drawn_clips": 960,
        "parts": {"test": {"clips": 105, "without_people": 2, "modes": {"clip": figures}}},
    }
    (tmp_path / "actors_to_real.json").write_text(json.dumps(result))
    page = write_results_page(tmp_path).read_text()
    assert "51.2" in page and "40.0 to 60.0" in page and "kick_ball" in page
    assert "guessing has 11;" in page and "2 of the test part" in page
    assert "pan benchmark actors_to_real --seeds 1 --modes clip --clips 60 --epochs 10" in page
