"""What a study varies: named ranges and choices, and their way to Optuna and back."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # params.yaml is read by every command, and Optuna takes a second to import
    from optuna.trial import BaseTrial

Value = int | float | bool | str
Values = dict[str, Value]
"""Values by full name, such as "train.learning_rate"."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether a doubling counts the same everywhere.
        whole: Whether only whole numbers count.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def suggest(self, trial: "BaseTrial", name: str) -> Value:
        """A value for a trial."""
        if self.whole:
            return trial.suggest_int(name, math.ceil(self.low), math.floor(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    @property
    def ends(self) -> tuple[Value, ...]:
        """Values that must be possible."""
        return (math.ceil(self.low), math.floor(self.high)) if self.whole else (self.low, self.high)

    def written(self) -> Any:
        """As params.yaml has it."""
        return {"low": self.low, "high": self.high} | ({"log": True} if self.log else {})

    def holds(self, value: Value) -> bool:
        """Whether a value lies in it."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some values, which have no order."""

    values: tuple[Value, ...]

    def suggest(self, trial: "BaseTrial", name: str) -> Value:
        """A value for a trial."""
        return trial.suggest_categorical(name, list(self.values))  # type: ignore[return-value]

    @property
    def ends(self) -> tuple[Value, ...]:
        """Values that must be possible."""
        return self.values

    def written(self) -> Any:
        """As params.yaml has it."""
        return list(self.values)

    def holds(self, value: Value) -> bool:
        """Whether a value is among them."""
        return value in self.values


@dataclass(frozen=True)
class Space:
    """Everything that a study varies, by full name."""

    entries: Mapping[str, Range | Choice]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def suggest(self, trial: "BaseTrial") -> Values:
        """Values for a trial, of every name."""
        return {name: entry.suggest(trial, name) for name, entry in self.entries.items()}

    def inside(self, values: Mapping[str, Value]) -> Values:
        """Those of the values that the space has."""
        return {name: values[name] for name, entry in self.entries.items() if entry.holds(values[name])}

    def as_dict(self) -> dict[str, Any]:
        """Plain data, to be stored with a study and compared."""
        return {name: entry.written() for name, entry in sorted(self.entries.items())}


def read_entry(value: object) -> Range | Choice:
    """An entry of a space as params.yaml has it: a list of values, or {low, high} with `log: true` where it applies.

    Raises:
        ValueError: With what is wrong.
    """
    if isinstance(value, Range | Choice):
        return value
    if isinstance(value, list):
        if len(value) < 2 or len({(type(item), item) for item in value if item.__hash__}) < len(value):
            raise ValueError("expected two different values or more to choose from")
        return Choice(tuple(value))
    if not isinstance(value, dict) or not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        raise ValueError("expected a list of values, or {low, high} with log: true where a doubling counts everywhere")
    low, high, log = value["low"], value["high"], value.get("log", False)
    numbers = all(
        isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in (low, high)
    )
    if not numbers or not isinstance(log, bool):
        raise ValueError("expected numbers for low and high, and true or false for log")
    if low >= high:
        raise ValueError(f"expected low below high, but low is {low} and high is {high}")
    if log and low <= 0:
        raise ValueError(f"expected low above 0 with log: true, but low is {low}")
    return Range(low, high, log)
