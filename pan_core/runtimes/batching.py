"""Requests of several threads to one network, run as one batch whenever they come while it is busy."""

import logging
import threading
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from pan_core.runtimes.max_error import largest_difference
from pan_core.runtimes.session import Session

_log = logging.getLogger(__name__)

MOST = 32
# Far above rounding, far below what a network gives that mixes its pictures up.
SAME_ANSWER = 1e-2


class BatchingSession:
    """Session that runs requests of one shape together; each caller gets the answers to its own.

    Nobody waits for a batch to fill: the first caller runs at once, and those who come meanwhile are the next batch. So one caller
    alone loses nothing, and the busier the network the larger its batches. They have 1, 2, 4, ... requests, because a runtime
    plans each new shape anew. A batch that fails is run again one by one, so that a fault reaches only the caller whose it is.

    The first request of each shape is also run as part of a pair. If the answers to the pair are not those to each alone, requests of
    this shape are run one by one.

    Args:
        session: The network; its inputs and outputs have the batch first.
        most: Largest number of requests in a batch.
        name: Name of the network, for the log.
    """

    def __init__(self, session: Session, *, most: int = MOST, name: str = "the network") -> None:
        self._session, self._most, self._name = session, most, name
        self._turn = threading.Condition()
        self._waiting: list[_Request] = []
        self._busy = False
        self._pairs: dict[Hashable, bool] = {}
        self.inputs, self.outputs, self.shapes = session.inputs, session.outputs, session.shapes

    @property
    def busy(self) -> bool:
        """Whether a batch is running."""
        return self._busy

    @property
    def waiting(self) -> int:
        """Requests that wait for the next batch."""
        return len(self._waiting)

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """See `pan_core.runtimes.session.Session.run`; may be called by several threads."""
        request = _Request(feeds, wanted)
        with self._turn:
            self._waiting.append(request)
            self._turn.wait_for(lambda: request.done or not self._busy)
            if request.done:
                return request.answer()
            batch = self._take(request)
            self._busy = True
        try:
            self._run_batch(batch)
        finally:
            with self._turn:
                self._busy = False
                for each in batch:
                    each.finish()
                self._turn.notify_all()
        return request.answer()

    def _take(self, first: "_Request") -> "list[_Request]":
        """Requests like the first, which is one of them, out of those that wait."""
        alike = [each for each in self._waiting if each.kind == first.kind and each is not first]
        count = min(1 + len(alike), self._most) if self._pairs.get(first.kind) else 1
        batch = [first, *alike][: 1 << (count.bit_length() - 1)]
        self._waiting = [each for each in self._waiting if each not in batch]
        return batch

    def _run_batch(self, batch: "list[_Request]") -> None:
        if len(batch) > 1:
            try:
                joined = {name: np.concatenate([each.feeds[name] for each in batch]) for name in batch[0].feeds}
                answers = self._session.run(joined, batch[0].wanted)
            except Exception:  # whose it is shows below
                _log.debug("%s: a batch of %d failed", self._name, len(batch), exc_info=True)
            else:
                ends = np.cumsum([each.rows for each in batch])[:-1]
                for each, *parts in zip(batch, *(np.split(answer, ends) for answer in answers), strict=True):
                    each.answers = parts
                return
        for each in batch:
            try:
                each.answers = self._session.run(each.feeds, each.wanted)
            except Exception as error:
                each.error = error
        first = batch[0]
        if first.kind not in self._pairs and not first.error:
            self._pairs[first.kind] = self._answers_pairs(first)

    def _answers_pairs(self, request: "_Request") -> bool:
        """Whether the answers to a pair, a request and noise in its range, are those to each."""
        noise = np.random.default_rng(0)
        other = {
            name: noise.uniform(feed.min(), feed.max() + 1, feed.shape).astype(feed.dtype)
            for name, feed in request.feeds.items()
        }
        try:
            alone = self._session.run(other, request.wanted)
            joined = {name: np.concatenate([feed, other[name]]) for name, feed in request.feeds.items()}
            pair = self._session.run(joined, request.wanted)
        except Exception as error:  # a runtime has many classes of errors
            same, reason = False, str(error)
        else:
            expected = [np.concatenate(both) for both in zip(request.answers, alone, strict=True)]
            same, reason = all(map(_agree, pair, expected)), "its answers to two pictures are not those to each"
        if not same:
            shapes = ", ".join(f"{name} {feed.shape[1:]}" for name, feed in request.feeds.items())
            _log.info(
                "%s takes one picture of %s at a time, so they are not run together: %s", self._name, shapes, reason
            )
        return same


class _Request:
    """What one caller asks, and the answer."""

    def __init__(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> None:
        self.feeds, self.wanted = feeds, list(wanted)
        self.rows = len(next(iter(feeds.values())))
        shapes = [(name, feed.shape[1:], str(feed.dtype)) for name, feed in sorted(feeds.items())]
        self.kind: Hashable = (tuple(shapes), tuple(wanted))
        self.answers: list[np.ndarray] = []
        self.error: Exception | None = None
        self.done = False

    def finish(self) -> None:
        # Where the thread that ran the batch was interrupted there is neither.
        if not self.answers and not self.error:
            self.error = RuntimeError("the thread that ran this request was ended")
        self.done = True

    def answer(self) -> list[np.ndarray]:
        if self.error:
            raise self.error
        return self.answers


def _agree(got: np.ndarray, wanted: np.ndarray) -> bool:
    return got.shape == wanted.shape and largest_difference(got, wanted) <= SAME_ANSWER
