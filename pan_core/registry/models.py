"""Versions of a recognizer in the MLflow Model Registry, with the aliases champion and challenger."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pan_core.errors import PanError
from pan_core.files import atomic_path, cache_folder
from pan_core.tracking.local_store import has_store, store_uri
from pan_core.tracking.outbox import AwayError
from pan_core.tracking.run import single_attempt
from pan_core.tracking.tracker import open_client

CHAMPION, CHALLENGER = "champion", "challenger"
SHA256, RULES, DATA, RECIPE = "model_sha256", "events_sha256", "data", "pan.recipe"
DECISION, ROLLED_BACK = "pan.decision", "pan.rolled_back"
"""Tags of a version: hashes of its weights, rules of events (empty without any), data and parameters; what was decided of it; whether a person took it back."""

BEGAN_WITH = "pan.champion"
"""Tag of a version: the champion when it was trained, 0 for none."""

PROFILE = "profile.parquet"
"""File of a version beside those of the model: what the clips are like that it learnt from."""

_CHAMPIONS = "pan.champions"
"""Tag of the registered model: its champions in the order of their promotions, for the way back."""


@dataclass(frozen=True)
class Version:
    """A registered recognizer.

    Attributes:
        number: Its version.
        aliases: Those that point to it.
        tags: What was written on it, the decision among them.
        source: Where its files lie.
        run_id: MLflow run that registered it.
        created: Milliseconds since 1970.
    """

    number: int
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    source: str
    run_id: str
    created: int


class Registry:
    """Versions of one recognizer.

    Args:
        name: Of the registered model, such as "pan-actors".

    Raises:
        PanError: Where the store cannot be reached.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._client = open_client()

    def register(self, source: str, run_id: str, tags: Mapping[str, str]) -> Version:
        """Add a version, which becomes the challenger."""
        self._find_model() or self._client.create_registered_model(self.name)
        made = self._client.create_model_version(self.name, source=source, run_id=run_id, tags=dict(tags))
        self._client.set_registered_model_alias(self.name, CHALLENGER, str(made.version))
        return self.version(int(made.version))

    def versions(self) -> list[Version]:
        """All versions, the newest first; empty where nothing was registered."""
        model = self._find_model()
        if model is None:
            return []
        found = self._client.search_model_versions(f"name = '{self.name}'")
        return sorted((_describe_version(each, model.aliases) for each in found), key=lambda each: -each.number)

    def version(self, number: int) -> Version:
        """One version.

        Raises:
            PanError: Where there is none of that number.
        """
        known = self.versions()
        for each in known:
            if each.number == number:
                return each
        raise PanError(
            f"{self.name}: has no version {number}; it has {', '.join(str(each.number) for each in known) or 'none'}",
            code="registry.no-version",
        )

    def trained(self, data: str, recipe: str) -> Version | None:
        """The newest version of these data and parameters that was decided on, None where there is none."""
        return self._find_newest(data, recipe, decided=True)

    def undecided(self, data: str, recipe: str) -> Version | None:
        """Likewise, one whose decision was never finished."""
        return self._find_newest(data, recipe, decided=False)

    def champion(self) -> Version | None:
        """The version in use, None before the first promotion."""
        return next((each for each in self.versions() if CHAMPION in each.aliases), None)

    def promote(self, number: int) -> None:
        """Make a version the champion; it stops being the challenger, and what was taken back counts again."""
        version = self.version(number)
        if CHAMPION in version.aliases:
            return
        # The alias first: `_champions` enters what it points to, where this is killed in between.
        champions = self._champions()
        self._client.set_registered_model_alias(self.name, CHAMPION, str(number))
        self._remember([*champions, number])
        if CHALLENGER in version.aliases:
            self._client.delete_registered_model_alias(self.name, CHALLENGER)
        if version.tags.get(ROLLED_BACK):
            self.tag(number, ROLLED_BACK, "")

    def rollback(self) -> tuple[int, int]:
        """Give the place back to the champion before; returns the versions that left and that came.

        Raises:
            PanError: Where there was no champion before.
        """
        champions = self._champions()
        if len(champions) < 2:
            now = f"version {champions[0]} is the only champion so far" if champions else "there is no champion"
            raise PanError(
                f"{self.name}: {now}, so there is none to go back to; see `pan registry list`",
                code="registry.no-champion-before",
            )
        there = {each.number for each in self.versions()}
        before = [number for number in champions[:-1] if number in there]
        if not before:
            raise PanError(
                f"{self.name}: the champions before version {champions[-1]} were deleted; none to go back to",
                code="registry.champions-deleted",
            )
        # The alias last, likewise.
        self._remember(before)
        self._client.set_registered_model_alias(self.name, CHAMPION, str(before[-1]))
        decided = self.version(champions[-1]).tags.get(DECISION, "")
        self.tag(champions[-1], DECISION, f"rolled back to version {before[-1]}; before: {decided or 'not decided'}")
        self.tag(champions[-1], ROLLED_BACK, "yes")
        return champions[-1], before[-1]

    def tag(self, number: int, name: str, value: str) -> None:
        """Write something on a version."""
        self._client.set_model_version_tag(self.name, str(number), name, value[:5000])

    def has_files(self, version: Version) -> bool:
        """Tell whether the files of a version can be had, from the cache or from where they were put."""
        import mlflow  # late: start-up

        if self._cached(version, None).is_dir():
            return True
        try:
            with single_attempt():
                return bool(mlflow.artifacts.list_artifacts(artifact_uri=version.source, tracking_uri=store_uri()))
        except (mlflow.exceptions.MlflowException, AwayError, OSError):
            return False

    def _cached(self, version: Version, cache: Path | None) -> Path:
        return (cache or cache_folder() / "registry") / self.name / f"{version.number}-{version.run_id[:8]}"

    def fetch(self, version: Version, cache: Path | None = None) -> Path:
        """Folder with the files of a version, copied into the cache once.

        Args:
            version: One of `versions`.
            cache: Folder of such copies; `registry` in the project's cache where None.

        Raises:
            PanError: Where they are gone.
        """
        import mlflow  # late: start-up

        folder = self._cached(version, cache)
        if not folder.is_dir():
            try:
                with atomic_path(folder) as partial:
                    mlflow.artifacts.download_artifacts(
                        artifact_uri=version.source, dst_path=str(partial.parent), tracking_uri=store_uri()
                    )
                    (partial.parent / Path(version.source).name).rename(partial)
            except (mlflow.exceptions.MlflowException, OSError) as error:
                raise PanError(
                    f"{self.name}: the files of version {version.number} cannot be had from {version.source} ({error}); "
                    "choose another with `pan registry promote`",
                    code="registry.files-gone",
                ) from error
        return folder

    def _find_newest(self, data: str, recipe: str, *, decided: bool) -> Version | None:
        found = [v for v in self.versions() if (v.tags.get(DATA), v.tags.get(RECIPE)) == (data, recipe)]
        return next((version for version in found if bool(version.tags.get(DECISION)) == decided), None)

    def _find_model(self) -> Any:
        from mlflow.exceptions import MlflowException  # late: start-up

        try:
            return self._client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise PanError(
                f"MLflow registry {store_uri()}: cannot be read ({error})", code="registry.unreadable"
            ) from error

    def _champions(self) -> list[int]:
        model = self._find_model()
        if model is None:
            return []
        current = model.aliases.get(CHAMPION)
        told = list(json.loads(model.tags.get(_CHAMPIONS, "[]")))
        # An alias that was moved by hand, in MLflow's own UI, counts: it is what everybody uses.
        if current is not None and (not told or told[-1] != int(current)):
            told.append(int(current))
        return told

    def _remember(self, champions: list[int]) -> None:
        self._client.set_registered_model_tag(self.name, _CHAMPIONS, json.dumps(champions))


def is_registered(name: str, number: int, run_id: str) -> bool | None:
    """Tell whether the store in use has a version, and the pipeline run that made it; None if it cannot be asked.

    Figures of a run travel with DVC into other clones, whose stores may lack the version, or have another of that number.
    """
    from mlflow.exceptions import MlflowException  # late: start-up

    if not has_store():
        return False
    try:
        with single_attempt():
            open_client().get_run(run_id)
            return any(version.number == number for version in Registry(name).versions())
    except (PanError, AwayError, MlflowException) as error:
        return False if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST" else None


def registry_of(dataset: str) -> Registry:
    """The registry of a dataset's recognizers."""
    return Registry(f"pan-{dataset}")


def _describe_version(found: Any, aliases: Mapping[str, object]) -> Version:
    number = int(found.version)
    own = tuple(sorted(alias for alias, version in aliases.items() if int(str(version)) == number))
    return Version(number, own, dict(found.tags), found.source, found.run_id or "", int(found.creation_timestamp))
