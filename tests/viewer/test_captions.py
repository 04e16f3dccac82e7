"""Which actions hold, and runs of captions; the right answers follow by thought."""

import itertools

import numpy as np
import pytest

from pan_core.viewer.captions import Caption, CaptionSpan, CaptionSpans, holding, likeliest, none_probability, spans

ACTIONS = ("Walking", "Waving", "Jumping")


@pytest.mark.parametrize(
    "probabilities, label, confidence",
    [
        ([0.9, 0.06, 0.04], "Walking", 0.9),
        ([0.45, 0.5, 0.05], "Walking & Waving", 0.95),
        ([0.05, 0.35, 0.6], "Waving & Jumping", 0.95),
        ([0.05, 0.25, 0.7], "Jumping", 0.7),
        ([0.32, 0.33, 0.35], "Waving & Jumping", 0.68),
    ],
)
def test_holding(probabilities, label, confidence):
    caption = holding(np.array(probabilities), ACTIONS)
    assert caption.label == label
    assert caption.confidence == pytest.approx(confidence)


def test_a_single_action_always_holds():
    assert str(holding(np.array([1.0]), ("Walking",))) == "Walking 100 %"


def captions(text: str) -> list[Caption]:
    """One letter a frame; upper case is stated with 0.8, lower case with 0.6."""
    return [Caption(letter.upper(), 0.8 if letter.isupper() else 0.6) for letter in text]


def test_spans_without_smoothing_are_the_runs():
    assert spans(captions("AAaBA")) == [
        CaptionSpan(0, 3, "A", pytest.approx(2.2 / 3)),
        CaptionSpan(3, 4, "B", pytest.approx(0.8)),
        CaptionSpan(4, 5, "A", pytest.approx(0.8)),
    ]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("AAAABAAAA", [(0, 9, "A")]),
        ("AAAABBBCC", [(0, 4, "A"), (4, 7, "B"), (7, 9, "C")]),
        ("AAAABCDDD", [(0, 6, "A"), (6, 9, "D")]),
        ("ABBBB", [(0, 5, "B")]),
        ("ABABAB", [(0, 6, "A")]),
        ("A", [(0, 1, "A")]),
        ("", []),
    ],
)
def test_short_runs_join_their_neighbour(text, expected):
    assert [(span.start, span.end, span.label) for span in spans(captions(text), shortest=2)] == expected


def literal_spans(text: str, shortest: int) -> list[tuple[int, int, str, float]]:
    """The rule read literally, on all captions at once."""
    labels = text.upper()
    edges = [i for i in range(len(text) + 1) if i in (0, len(text)) or labels[i] != labels[i - 1]]
    merged: list[list] = []
    for start, end in itertools.pairwise(edges):
        if merged and (end - start < shortest or labels[start] == merged[-1][2]):
            merged[-1][1] = end
        elif merged and merged[-1][1] - merged[-1][0] < shortest:
            merged[-1][1:] = [end, labels[start]]
        else:
            merged.append([start, end, labels[start]])
    values = [one.confidence for one in captions(text)]
    return [
        (start, end, label, np.mean([values[n] for n in range(start, end) if labels[n] == label]))
        for start, end, label in merged
    ]


def test_captions_that_come_one_by_one_give_the_same_spans():
    rng = np.random.default_rng(0)
    for _ in range(500):
        runs = [letter * int(rng.integers(1, 6)) for letter in rng.choice(list("AaBbC"), rng.integers(0, 12))]
        text, shortest = "".join(runs), int(rng.integers(1, 6))
        found = CaptionSpans(shortest=shortest)
        for run in runs:
            found.add(captions(run)[0], times=len(run))
            found.spans()  # at any time, and without a trace
        got = [(one.start, one.end, one.label, pytest.approx(one.confidence)) for one in found.spans()]
        assert got == literal_spans(text, shortest) and len(spans(captions(text), shortest=shortest)) == len(got)


def test_confidence_is_the_mean_of_the_spans_own_label():
    assert spans(captions("AABaa"), shortest=2)[0].confidence == pytest.approx(0.7)


def test_nothing_is_named_if_none_is_the_likeliest():
    said = holding(np.array([0.3, 0.25, 0.0]), ("a", "b", "c"))
    assert (said.label, said.confidence) == ("", pytest.approx(0.45))
    assert str(said) == "no known action"
    assert holding(np.array([0.4, 0.3, 0.0]), ("a", "b", "c")).label == "a & b"
    assert likeliest(np.array([0.3, 0.2]), ("a", "b")).label == ""
    assert likeliest(np.array([0.2, 0.6]), ("a", "b")) == Caption("b", 0.6)


def test_a_sum_a_little_off_one_is_no_none():
    """Single precision sums to 1 - 1e-7, or a little more than 1."""
    for off in (1 - 1e-7, 1 + 1e-7):
        many = np.full(1000, off / 1000)
        assert likeliest(many, [str(number) for number in range(1000)]).label != ""
        assert 0 <= none_probability(many) < 1e-6
