"""Worker processes of one study: the trials first, then the repeats of the leaders, behind one progress bar."""

from collections.abc import Callable
from functools import partial

from optuna.trial import TrialState
from tqdm import tqdm

from pan_core.tuning.search import still_wanted
from pan_core.tuning.study import Study
from pan_core.workers.pool import run_jobs

Job = Callable[[], object]


def run_study(study: Study, *, search_job: Job, repeat_job: Callable[[int, int], object], workers: int) -> None:
    """Run trials until enough are complete, then train the leaders again; both go on where they were.

    Args:
        study: The study.
        search_job: Runs trials until no more are wanted; picklable, run once in each worker.
        repeat_job: Trains a trial again, by its number and the seed; picklable.
        workers: Number of processes.
    """
    with tqdm(total=study.plan.trials, desc="tune", unit="trial", dynamic_ncols=True) as bar:
        progress = _Progress(study, bar)

        def trials() -> list[Job]:
            # A trial that still runs, or whose worker died in it, is for a worker to wait for or to mark.
            idle = not still_wanted(study) and not study.trials(TrialState.RUNNING)
            return [] if idle else [search_job] * workers

        def repeats() -> list[Job]:
            return [partial(repeat_job, number, seed) for number, seed in progress.begin_repeats()]

        run_jobs((trials, repeats), workers=workers, tick=progress.show)


class _Progress:
    """What the progress bar shows: complete trials, then finished repeats."""

    def __init__(self, study: Study, bar: tqdm) -> None:
        self._study, self._bar = study, bar
        self._repeats: list[tuple[int, int]] = []

    def begin_repeats(self) -> list[tuple[int, int]]:
        """Show repeats from now on; returns those that are missing, as trial number and seed."""
        self._show_trials()
        self._repeats = self._study.missing_repeats()
        self._bar.set_description("leaders again", refresh=False)
        self._bar.set_postfix_str("", refresh=False)
        self._bar.unit = "training"
        self._bar.reset(total=len(self._repeats))
        return self._repeats

    def show(self) -> None:
        """Bring the bar up to date."""
        if self._repeats:
            self._move_to(len(self._repeats) - len(self._study.missing_repeats()))
        else:
            self._show_trials()

    def _show_trials(self) -> None:
        done = self._study.counted
        if done:
            best = max(self._study.accuracy(trial) for trial in done)
            given_up = len(self._study.trials(TrialState.PRUNED))
            self._bar.set_postfix_str(f"best {100 * best:.1f} %, {given_up} given up", refresh=False)
        self._move_to(len(done))

    def _move_to(self, done: int) -> None:
        if done != self._bar.n:
            self._bar.update(done - self._bar.n)
