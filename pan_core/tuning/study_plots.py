"""Charts of a study: its front, its history, its curves, importance of parameters, accuracy by value."""

from collections.abc import Mapping

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from optuna.trial import FrozenTrial, TrialState

from pan_core.params.space import Choice, Range
from pan_core.tuning.study import CURVE, Study, step_of
from pan_core.viewer.canvas import BLUE, FAINT, GREEN, VERMILLION, Picture, canvas, drawn, percent_axis

FEWEST = 4
"""Complete trials below which nothing can be said of what mattered."""


def study_pictures(study: Study) -> dict[str, Picture]:
    """Pictures by name of the file without its ending."""
    if not study.complete:
        return {}
    pictures = {"pareto_front": pareto_front(study), "history": history(study), "curves": curves(study),
                "slices": slices(study)}  # fmt: skip
    if shares := importance(study):
        pictures["importance"] = importance_bars(shares)
    return pictures


def importance(study: Study) -> dict[str, float]:
    """Share of the variance of accuracy that each parameter explains, largest first; by fANOVA (Hutter et al., 2014).

    Empty while too few trials are complete, or all are equally accurate.
    """
    values = {study.accuracy(trial) for trial in study.complete}
    if len(study.complete) < FEWEST or len(values) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study.by_accuracy(), evaluator=evaluator))


@drawn
def pareto_front(study: Study) -> tuple[Figure, str]:
    """Accuracy against the time of a step; what no other trial beats in both is joined by a line."""
    figure, axes = canvas(7.2, 4.2)
    front, judged = study.front(), study.judged()
    axes.scatter(*_locate(study, study.complete), s=28, color=FAINT, label="complete trial")
    axes.plot(*_locate(study, front), "o-", color=BLUE, markersize=7, label="front")
    if judged:
        winner = [trial for trial in study.complete if trial.number == judged[0].number]
        axes.scatter(
            *_locate(study, winner), s=190, facecolors="none", edgecolors=VERMILLION, linewidths=2, label="winner"
        )
    slowest = max(step_of(trial) for trial in study.complete)
    if study.plan.budget_ms < 1.5 * slowest:
        axes.axvline(study.plan.budget_ms, color=VERMILLION, linestyle="--", linewidth=1.2, label="budget")
    for trial in front:
        place = (step_of(trial), study.accuracy(trial))
        axes.annotate(f"{trial.number}", place, xytext=(6, -12), textcoords="offset points", fontsize=8)
    axes.set(xlabel="one step of the network (ms)", ylabel="validation accuracy (%)", title=study.plan.name)
    percent_axis(axes, "y")
    axes.margins(0.08)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.08), borderaxespad=0, ncols=4)
    words = ", ".join(f"trial {t.number}: {100 * study.accuracy(t):.1f} % at {step_of(t):.3f} ms" for t in front)
    return figure, f"Validation accuracy against the time of a step; on the front {words}."


def _locate(study: Study, trials: list[FrozenTrial]) -> tuple[list[float], list[float]]:
    return [step_of(trial) for trial in trials], [study.accuracy(trial) for trial in trials]


@drawn
def history(study: Study) -> tuple[Figure, str]:
    """Accuracy of the trials in their order, with the best so far, and those that were given up."""
    figure, axes = canvas(7.2, 3.8)
    done = study.complete
    numbers, values = [trial.number for trial in done], [study.accuracy(trial) for trial in done]
    given_up = [trial for trial in study.trials(TrialState.PRUNED) if trial.user_attrs.get(CURVE)]
    axes.scatter(numbers, values, s=28, color=BLUE, label="complete")
    axes.scatter(
        [trial.number for trial in given_up], [trial.user_attrs[CURVE][-1] for trial in given_up],
        s=34, marker="x", color=FAINT, label="given up, accuracy by then",
    )  # fmt: skip
    axes.step(
        numbers, np.maximum.accumulate(values), where="post", color=VERMILLION, linewidth=1.6, label="best so far"
    )
    axes.set(xlabel="trial", ylabel="validation accuracy (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    percent_axis(axes, "y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1, ncols=3)
    return figure, f"{len(done)} complete trials, best {100 * max(values):.1f} %; {len(given_up)} given up."


@drawn
def curves(study: Study) -> tuple[Figure, str]:
    """Validation accuracy by epoch of every trial."""
    figure, axes = canvas(7.2, 3.8)
    labels = {TrialState.COMPLETE: ("complete", BLUE, 0.75), TrialState.PRUNED: ("given up", FAINT, 0.6)}
    for state, (label, colour, alpha) in labels.items():
        for trial in study.trials(state):
            curve = trial.user_attrs.get(CURVE, [])
            axes.plot(np.arange(1, len(curve) + 1), curve, color=colour, alpha=alpha, linewidth=1.2, label=label)
            label = "_"
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    percent_axis(axes, "y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1, ncols=2)
    return figure, "Validation accuracy of every trial by epoch; those given up end early."


@drawn
def importance_bars(shares: Mapping[str, float]) -> tuple[Figure, str]:
    """How much each parameter mattered for accuracy."""
    figure, axes = canvas(7.2, 1.0 + 0.32 * len(shares))
    places = np.arange(len(shares))
    axes.barh(places, list(shares.values()), color=BLUE, height=0.7)
    for place, share in zip(places, shares.values(), strict=True):
        axes.text(share + 0.01, place, f"{100 * share:.0f}", va="center", fontsize=9)
    axes.set_yticks(places, list(shares))
    axes.set(xlabel="share of the variance of accuracy (%)", xlim=(0, 1.05), ylim=(len(shares) - 0.5, -0.5))
    percent_axis(axes, "x")
    axes.grid(axis="y", visible=False)
    return figure, "What mattered for accuracy: " + ", ".join(f"{k} {100 * v:.0f} %" for k, v in shares.items()) + "."


@drawn
def slices(study: Study) -> tuple[Figure, str]:
    """Accuracy against each parameter's value; later trials are darker."""
    names = list(study.plan.space)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, grid = canvas(3.1 * columns, 2.5 * rows, nrows=rows, ncols=columns, squeeze=False, sharey=True, gap=0.04)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    for name, axes in zip(names, grid.flat, strict=False):
        _draw_slice(study, name, axes)
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy (%)")
    return figure, f"Validation accuracy against the values of {', '.join(names)}."


def _scale_axis(axes: Axes, entry: Range) -> None:
    """The whole range, with plain numbers; matplotlib's own would write over each other on so small axes."""
    if entry.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(entry.low, entry.high)


def _draw_slice(study: Study, name: str, axes: Axes) -> None:
    done = [trial for trial in study.complete if name in trial.params]
    entry = study.plan.space.entries[name]
    values = [trial.params[name] for trial in done]
    if isinstance(entry, Choice):
        labels = [str(value) for value in entry.values]
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        values = [labels.index(str(value)) for value in values]
    elif isinstance(entry, Range):
        _scale_axis(axes, entry)
    shades = [to_rgba(GREEN, 0.3 + 0.7 * place / max(1, len(done) - 1)) for place in range(len(done))]
    axes.scatter(values, [study.accuracy(trial) for trial in done], s=24, color=shades)
    axes.set_xlabel(name.split(".", 1)[1])
    percent_axis(axes, "y")
