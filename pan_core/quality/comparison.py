"""What is expected of new footage, given that which a model was trained on, and how each difference is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pan_core.quality.partition import Partition
from pan_core.quality.profiles import FEATURES, Feature

CLASS_MIX, KNOWN, MISSING, ENOUGH = "class mix", "classes are known", "no class is missing", "enough clips"
MEASURED = "is measured"
SHOWN = 5


@dataclass(frozen=True)
class DriftSettings:
    """When footage counts as other footage.

    A distribution has moved where the Kullback-Leibler divergence of the new footage from the reference is above what
    is tolerated plus what so few clips show by chance.

    Attributes:
        min_clips: Fewest clips of which anything is said, in the new footage and in the reference.
        divergence: Tolerated for numbers, in nats; 0.1 is that of a normal distribution from one whose mean lies
            0.45 standard deviations away.
        class_divergence: Tolerated for the mix of classes.
        false_alarms: Share of comparisons of footage that has not changed at all in which chance alone is more than
            what is allowed for it, all measures together.
        bins: Bins of a number.
    """

    min_clips: int = 20
    divergence: float = 0.1
    class_divergence: float = 0.1
    false_alarms: float = 0.01
    bins: int = 8

    @property
    def level(self) -> float:
        """Share of false alarms of each measure; the class mix and missing classes are two."""
        return self.false_alarms / (len(FEATURES) + 2)


class Comparison:
    """Expectations on two profiles, as Great Expectations' own objects, with a sentence of what was seen for each.

    Attributes:
        tables: The profiles, "reference" and "footage".
        expectations: Those on each of them.
        words: What was seen, by table and name of the expectation.
    """

    def __init__(
        self, reference: pd.DataFrame, new: pd.DataFrame, known: Sequence[str], settings: DriftSettings
    ) -> None:
        self.tables = {"reference": reference, "footage": new}
        self.expectations: dict[str, list[Any]] = {name: [] for name in self.tables}
        self.words: dict[tuple[str, str], str] = {}
        self._settings = settings
        for name, table in self.tables.items():
            words = f"{len(table)} of the {name}, expected {settings.min_clips}"
            self._add(name, ENOUGH, words, "ExpectTableRowCountToBeBetween", min_value=settings.min_clips)
        self._add(
            "footage",
            KNOWN,
            _describe_unknown(new, known),
            "ExpectColumnValuesToBeInSet",
            column="label",
            value_set=list(known),
        )
        if min(len(reference), len(new)) >= settings.min_clips:
            self._expect_classes(known)
            for feature in FEATURES:
                self._expect_number(feature)

    def _add(self, table: str, name: str, words: str, expectation: str, **arguments: Any) -> None:
        import great_expectations.expectations as gxe  # late: start-up

        made = getattr(gxe, expectation)(**arguments, meta={"name": name, "fatal": False})
        self.expectations[table].append(made)
        self.words[table, name] = words

    def _expect_classes(self, known: Sequence[str]) -> None:
        reference, new = (table["label"] for table in self.tables.values())
        shares = reference.value_counts(normalize=True).sort_index()
        level = self._settings.level / len(shares)
        surely = [str(label) for label, share in shares.items() if (1 - share) ** len(new) < level]
        if surely:
            words = _describe_missing(sorted(set(shares.index) - set(new)), surely)
            self._add(
                "footage", MISSING, words, "ExpectColumnDistinctValuesToContainSet", column="label", value_set=surely
            )
        partition = Partition.of_classes(reference, {*known, *new})
        words = _describe_mix(partition, partition.count(new))
        self._expect_divergence("label", CLASS_MIX, words, partition, len(new), self._settings.class_divergence)

    def _expect_number(self, feature: Feature) -> None:
        reference, new = (table[feature.column] for table in self.tables.values())
        least = self._settings.min_clips
        lacking = {name: table[feature.column] for name, table in self.tables.items()
                   if table[feature.column].count() < least}  # fmt: skip
        for name, column in lacking.items():
            words = f"not compared, {column.count()} of {len(column)} clips of the {name} show it, expected {least}"
            self._add(
                name, f"{feature.name} {MEASURED}", words, "ExpectColumnValuesToNotBeNull",
                column=feature.column, mostly=least / len(column),
            )  # fmt: skip
        if not lacking:
            partition = Partition.of_numbers(reference, step=feature.step, bins=self._settings.bins)
            words = _describe_number(feature, reference, new, partition)
            self._expect_divergence(
                feature.column, feature.name, words, partition, int(new.count()), self._settings.divergence
            )

    def _expect_divergence(
        self, column: str, name: str, words: str, partition: Partition, clips: int, tolerated: float
    ) -> None:
        self._add(
            "footage", name, words, "ExpectColumnKLDivergenceToBeLessThan",
            column=column,
            partition_object=partition.expected,
            threshold=tolerated + partition.by_chance(clips, self._settings.level),
        )  # fmt: skip


def _describe_unknown(new: pd.DataFrame, known: Sequence[str]) -> str:
    counts = new.loc[~new["label"].isin(known), "label"].value_counts().sort_index()
    listed = ", ".join(f"{label} ({count} of {len(new)} clips)" for label, count in counts.items())
    return f"the model does not know {listed}" if listed else "the model knows all"


def _describe_missing(absent: Sequence[str], surely: Sequence[str]) -> str:
    found, perhaps = [n for n in absent if n in surely], [n for n in absent if n not in surely]
    words = [f"no clip of {', '.join(found)}"] if found else []
    words += [f"none of {', '.join(perhaps)}, which so few clips explain"] if perhaps else []
    return "; ".join(words) or "all are there"


def _describe_mix(partition: Partition, counts: np.ndarray) -> str:
    before, now = partition.counts / partition.counts.sum(), counts / counts.sum()
    order = np.argsort(-np.abs(now - before), kind="stable")[:SHOWN]
    moves = (f"{partition.expected['values'][k]} {before[k]:.0%} -> {now[k]:.0%}" for k in order)
    return ", ".join(moves) + " of the clips"


def _describe_number(feature: Feature, reference: pd.Series, new: pd.Series, partition: Partition) -> str:
    """Median, middle half, and the bin that gained most."""
    (low, median, high), (new_low, new_median, new_high) = (
        [feature.written(v) for v in column.quantile([0.25, 0.5, 0.75])] for column in (reference, new)
    )
    counts = partition.count(new)
    before, now = partition.counts / partition.counts.sum(), counts / counts.sum()
    most = int(np.argmax(now - before))
    return (
        f"median {median} -> {new_median}{feature.unit and ' '}{feature.unit}, middle half {low} to {high} -> {new_low} "
        f"to {new_high}; clips {_describe_bin(feature, partition, most)}: {before[most]:.0%} -> {now[most]:.0%}"
    )


def _describe_bin(feature: Feature, partition: Partition, number: int) -> str:
    # Edges lie between the values that count as different.
    edges = [feature.written(edge, finer=1) for edge in partition.expected["bins"]]
    if number == 0:
        return f"below {edges[0]}"
    return f"above {edges[-1]}" if number == len(edges) else f"from {edges[number - 1]} to {edges[number]}"
