"""A clock that only goes forward: what a source says of the time may jump."""

import math

# A step back that is shorter is disorder among frames: time stands still until they are past it.
DISORDER_S = 0.5


class SteadyClock:
    """Seconds of one part of a source, which never go back.

    A step forward is believed, however long: nobody knows what happened meanwhile. After a step back time goes on from
    where it was, so that what goes on neither waits until the clock is there again nor happens twice.
    """

    def __init__(self) -> None:
        self._part: str | None = None
        self._now = self._offset = 0.0

    def read(self, time_s: float, part: str, *, step_s: float = 0.0) -> float:
        """Steady time of a frame.

        Args:
            time_s: What the source says.
            part: Part of the source; another one has a clock of its own.
            step_s: Seconds that pass from frame to frame, for one whose time is unknown.
        """
        if part != self._part:
            self._part, self._offset, self._now = part, 0.0, time_s if math.isfinite(time_s) else 0.0
            return self._now
        if not math.isfinite(time_s):
            self._now += step_s
            return self._now
        steady = time_s + self._offset
        if steady < self._now - DISORDER_S:
            self._offset += self._now + step_s - steady
            steady = self._now + step_s
        self._now = max(self._now, steady)
        return self._now
