"""Expectations on a whole dataset, and whether it meets them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from pan_core.errors import DataError
from pan_core.quality.context import ephemeral_context, quiet
from pan_core.quality.findings import SHOWN, Finding, QualityResult
from pan_core.quality.summary import COLUMNS

if TYPE_CHECKING:
    import great_expectations as gx

Kind = Literal["clips", "classes"]


@dataclass(frozen=True)
class QualityLimits:
    """What a dataset must have to be worth training on.

    The defaults pass a usable dataset of staged or found videos and stop one that is broken; a dataset of your own
    deserves tighter ones.

    Attributes:
        min_frames: Frames of poses that a clip should have.
        max_frames: Frames that a clip should not exceed.
        mostly: Share of clips that must keep to `min_frames` and `max_frames`, show a person, and move.
        min_visible_joints: Least mean share of joints that were found.
        mean_score: Range in which the mean keypoint score of the dataset must lie.
        largest_class: Most clips of a class, as a multiple of an even share (all clips over all classes).
        smallest_class: Fewest clips of a class, as a multiple of an even share.
        min_train: Fewest training clips of each class.
        min_test: Fewest test clips of each class.
    """

    min_frames: int = 8
    max_frames: int = 100_000
    mostly: float = 0.9
    min_visible_joints: float = 0.3
    mean_score: tuple[float, float] = (0.2, 1.0)
    largest_class: float = 5.0
    smallest_class: float = 0.2
    min_train: int = 1
    min_test: int = 1


def build_suite(kind: Kind, *, labels: Sequence[str], limits: QualityLimits) -> "gx.ExpectationSuite":
    """Expectations on the summary table ("clips") or on its counts by class ("classes").

    Args:
        kind: Which table.
        labels: Every label that the dataset may have.
        limits: The bounds.
    """
    import great_expectations as gx

    expectations = _on_clips(labels, limits) if kind == "clips" else _on_classes(limits)
    return gx.ExpectationSuite(name=kind, expectations=expectations)


def check_dataset(
    table: pd.DataFrame, *, labels: Sequence[str] | None = None, limits: QualityLimits | None = None
) -> QualityResult:
    """Check a dataset as a whole.

    Args:
        table: One row a clip, as `summarise` makes it; clips whose part is "unused" are left out.
        labels: Every label that the dataset may have, each of which must have clips to train and to test on;
            those in the table where None, which cannot show that one is missing altogether.
        limits: The bounds; defaults where None.

    Returns:
        All expectations with the values that were observed.

    Raises:
        DataError: Where the table lacks columns or has no clips.
    """
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"summary table: missing columns {', '.join(missing)}; make it with pan_core.quality.summarise")
    labels = sorted(set(table["label"]) if labels is None else set(labels))
    table = table[table["part"] != "unused"].reset_index(drop=True)
    if table.empty or not labels:
        raise DataError("summary table: no clips or no labels, so there is nothing to check; see the split's parts")
    with quiet():
        context = ephemeral_context()
        tables: dict[Kind, pd.DataFrame] = {"clips": table, "classes": count_classes(table, labels)}
        findings = []
        for kind, frame in tables.items():
            suite = build_suite(kind, labels=labels, limits=limits or QualityLimits())
            findings += _validate(context, frame, suite)
    return QualityResult(tuple(findings), context)


def count_classes(table: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """One row a class: its clips in all and by part, and `even_share`, its clips over those of an even share."""
    counts = pd.crosstab(table["label"], table["part"])
    counts = counts.reindex(index=sorted(set(labels)), columns=["train", "val", "test"], fill_value=0)
    counts["clips"] = counts.sum(axis=1)
    counts["even_share"] = counts["clips"] / max(counts["clips"].mean(), 1e-9)
    return counts.rename_axis(index="label", columns=None).reset_index()


def _on_clips(labels: Sequence[str], limits: QualityLimits) -> list[Any]:
    import great_expectations.expectations as gxe

    low, high = limits.mean_score
    return [
        gxe.ExpectColumnValuesToBeUnique(column="clip_id", meta=_name("no clip twice")),
        gxe.ExpectColumnValuesToBeInSet(column="label", value_set=sorted(set(labels)), meta=_name("labels known")),
        gxe.ExpectColumnValuesToBeBetween(
            column="n_frames",
            min_value=limits.min_frames,
            max_value=limits.max_frames,
            mostly=limits.mostly,
            meta=_name("clip length"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="people", min_value=1, mostly=limits.mostly, meta=_name("people found")
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column="visible_joint_share", min_value=limits.min_visible_joints, meta=_name("joints found")
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column="mean_score", min_value=low, max_value=high, meta=_name("keypoint scores")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="motion", min_value=0, strict_min=True, mostly=limits.mostly, meta=_name("clips move")
        ),
    ]


def _on_classes(limits: QualityLimits) -> list[Any]:
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnMaxToBeBetween(
            column="even_share", max_value=limits.largest_class, meta=_name("largest class")
        ),
        gxe.ExpectColumnMinToBeBetween(
            column="even_share", min_value=limits.smallest_class, meta=_name("smallest class")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="train", min_value=limits.min_train, meta=_name("every class in train")
        ),
        gxe.ExpectColumnValuesToBeBetween(column="test", min_value=limits.min_test, meta=_name("every class in test")),
    ]


def _name(words: str) -> dict[str, str]:
    return {"name": words}


def _validate(context: Any, table: pd.DataFrame, suite: "gx.ExpectationSuite") -> list[Finding]:
    import great_expectations as gx

    source = context.data_sources.add_pandas(f"pandas_{suite.name}")
    batch = source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe("whole")
    definition = gx.ValidationDefinition(name=suite.name, data=batch, suite=context.suites.add(suite))
    identity = str(table.columns[0])
    result = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": table},
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [identity]},
    )
    return [_finding(item, identity) for item in result.to_json_dict()["results"]]


def _finding(item: dict[str, Any], identity: str) -> Finding:
    config, result = item["expectation_config"], item["result"]
    kwargs = {key: value for key, value in config["kwargs"].items() if key not in ("column", "batch_id")}
    broken = [str(row[identity]) for row in result.get("unexpected_index_list") or []]
    observed = result.get("observed_value")
    if observed is None and "unexpected_percent" in result:
        observed = {"broken": result["unexpected_count"], "of": result["element_count"]}
    return Finding(
        name=config["meta"]["name"],
        expectation=config["type"],
        column=config["kwargs"]["column"],
        passed=bool(item["success"]),
        expected=kwargs,
        observed=observed,
        examples=tuple(dict.fromkeys(broken))[:SHOWN],
    )
