"""Whether a dataset meets what is expected of its kind; the suites are built anew on each run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from pan_core.errors import DataError
from pan_core.quality.expectations import KINDS, Kind, QualityLimits, on_classes, on_clips, on_videos
from pan_core.quality.findings import Finding, QualityResult
from pan_core.quality.gx_context import ephemeral_context, quiet
from pan_core.quality.overlaps import summarise_videos
from pan_core.quality.summary import COLUMNS

if TYPE_CHECKING:
    import great_expectations as gx

Table = Literal["clips", "classes", "videos"]
# What names a row of each.
IDENTITY = {"clips": "clip_id", "classes": "label", "videos": "video"}


def build_suite(
    table: Table, *, labels: Sequence[str], limits: QualityLimits, kind: Kind = "extracted"
) -> "gx.ExpectationSuite":
    """Expectations on the summary table ("clips"), its counts by class ("classes"), or cameras' videos ("videos").

    Args:
        table: Which table.
        labels: Every label that the dataset may have.
        limits: The bounds.
        kind: Kind of the dataset.
    """
    import great_expectations as gx  # late: start-up

    expectations = {
        "clips": lambda: on_clips(kind, labels, limits),
        "classes": lambda: on_classes(limits),
        "videos": lambda: on_videos(limits),
    }
    return gx.ExpectationSuite(name=table, expectations=expectations[table]())


def check_dataset(
    table: pd.DataFrame,
    *,
    labels: Sequence[str] | None = None,
    limits: QualityLimits | None = None,
    kind: Kind = "extracted",
    clips: pd.DataFrame | None = None,
) -> QualityResult:
    """Check a dataset as a whole.

    Args:
        table: One row a clip, as `summarise` makes it; clips whose part is "unused" are left out.
        labels: Every label that the dataset may have, each of which must have clips to train and to test on;
            those in the table where None, which cannot show that one is missing altogether.
        limits: The bounds; defaults where None.
        kind: "annotated" where people marked the joints, "extracted" where a network found them, "supplied" where
            nobody knows who did, "surveillance" where a network found them in spans of cameras' videos.
        clips: Clip table, for the spans of "surveillance", which are left out where None.

    Returns:
        All expectations with the values that were observed.

    Raises:
        DataError: Where the kind is unknown, the table lacks columns or has no clips.
    """
    if kind not in KINDS:
        raise DataError(f"kind of dataset: expected one of {', '.join(KINDS)}, but got {kind!r}", code="quality.kind")
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(
            f"summary table: missing columns {', '.join(missing)}; make it with pan_core.quality.summarise",
            code="quality.columns",
        )
    labels = sorted(set(table["label"]) if labels is None else set(labels))
    table = table[table["part"] != "unused"].reset_index(drop=True)
    if table.empty or not labels:
        raise DataError(
            "summary table: no clips or no labels, so there is nothing to check; see the split's parts",
            code="quality.empty",
        )
    tables: dict[Table, pd.DataFrame] = {"clips": table, "classes": count_classes(table, labels)}
    if kind == "surveillance" and clips is not None:
        tables["videos"] = summarise_videos(clips)
    with quiet():
        context = ephemeral_context()
        findings = []
        for name, frame in tables.items():
            suite = build_suite(name, labels=labels, limits=limits or QualityLimits(), kind=kind)
            findings += validate_table(context, name, frame, suite.expectations, IDENTITY[name])
    return QualityResult(tuple(findings), context)


def count_classes(table: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """One row a class: its clips in all and by part, and `even_share`, its clips over those of an even share."""
    counts = pd.crosstab(table["label"], table["part"])
    counts = counts.reindex(index=sorted(set(labels)), columns=["train", "val", "test"], fill_value=0)
    counts["clips"] = counts.sum(axis=1)
    counts["even_share"] = counts["clips"] / max(counts["clips"].mean(), 1e-9)
    return counts.rename_axis(index="label", columns=None).reset_index()


def validate_table(
    context: Any, name: str, table: pd.DataFrame, expectations: Sequence[Any], identity: str
) -> list[Finding]:
    """Run expectations on a table, in a context that keeps what was seen for Data Docs.

    Args:
        context: Great Expectations' context.
        name: Of the table and of its pages.
        table: The rows.
        expectations: Great Expectations' objects; the meta of each has a name, and whether it is fatal.
        identity: Column that names a row.
    """
    import great_expectations as gx  # late: start-up

    suite = gx.ExpectationSuite(name=name, expectations=list(expectations))
    source = context.data_sources.add_pandas(f"pandas_{suite.name}")
    batch = source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe("whole")
    definition = gx.ValidationDefinition(name=suite.name, data=batch, suite=context.suites.add(suite))
    result = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": table},
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [identity]},
    )
    return [_read_finding(item, suite.name, identity) for item in result.to_json_dict()["results"]]


def _read_finding(item: dict[str, Any], table: str, identity: str) -> Finding:
    config, result = item["expectation_config"], item["result"]
    kwargs = {key: value for key, value in config["kwargs"].items() if key not in ("column", "batch_id")}
    broken = [str(row[identity]) for row in result.get("unexpected_index_list") or []]
    observed = result.get("observed_value")
    if observed is None and "unexpected_percent" in result:
        observed = {"broken": result["unexpected_count"], "of": result["element_count"]}
    if isinstance(observed, np.generic):
        observed = observed.item()
    return Finding(
        name=config["meta"]["name"],
        expectation=config["type"],
        table=table,
        column=config["kwargs"].get("column", "rows"),
        passed=bool(item["success"]),
        expected=kwargs,
        observed=observed,
        broken=tuple(dict.fromkeys(broken)),
        fatal=bool(config["meta"]["fatal"]),
    )
