"""Report of a study for a terminal: counts, front, leaders and importance of parameters."""

from collections.abc import Iterable, Sequence

from optuna.trial import TrialState

from pan_core.tuning.study import Study, step_of
from pan_core.tuning.study_plots import FEWEST, importance

BAR = 30


def describe(study: Study) -> str:
    """Front, leaders and importance of a study as it stands."""
    states = {state: len(study.trials(state)) for state in TrialState}
    counts = ", ".join(
        f"{states[state]} {word}"
        for state, word in (
            (TrialState.COMPLETE, "complete"),
            (TrialState.PRUNED, "given up"),
            (TrialState.RUNNING, "running"),
            (TrialState.FAIL, "failed"),
        )
        if states[state] or state == TrialState.COMPLETE
    )
    head = f"study {study.plan.name}: {counts}; {study.plan.trials} complete trials wanted"
    return "\n".join([head, *_list_front(study), *_list_leaders(study), *_list_importance(study)])


def _list_front(study: Study) -> Iterable[str]:
    front = study.front()
    if not front:
        return
    yield "\nfront: no other trial is more accurate and as fast"
    names = list(study.plan.space)
    rows = [
        [
            str(t.number),
            f"{100 * study.accuracy(t):.1f} %",
            f"{step_of(t):.3f} ms",
            *(_shorten(t.params[n]) for n in names),
        ]
        for t in front
    ]
    yield from _format_table(["trial", "accuracy", "step", *(name.rsplit(".", 1)[1] for name in names)], rows)


def _list_leaders(study: Study) -> Iterable[str]:
    judged = study.judged()
    if not judged:
        return
    yield f"\nleaders, trained again with {study.plan.repeats} fresh seeds; the first is the winner"
    rows = [
        [
            str(leader.number), f"{100 * leader.accuracy:.1f} %",
            " ".join(f"{100 * value:.1f}" for value in leader.accuracies), f"{leader.step_ms:.3f} ms",
            "the values of params.yaml" if leader.is_default else "",
        ]
        for leader in judged
    ]  # fmt: skip
    yield from _format_table(["trial", "mean", "each seed", "step", ""], rows)


def _list_importance(study: Study) -> Iterable[str]:
    shares = importance(study)
    if not shares:
        yield f"\nwhat mattered: known from {FEWEST} complete trials of different accuracy on"
        return
    yield "\nwhat mattered for accuracy (share of its variance, fANOVA)"
    width = max(len(name) for name in shares)
    for name, share in shares.items():
        yield f"  {name:{width}}  {100 * share:4.0f} %  {'█' * round(BAR * share)}"


def _format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    for line in (head, *rows):
        yield ("  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))).rstrip()


def _shorten(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
