"""A project that came without git, such as an unpacked source archive: DVC is told to go without."""

import logging
from pathlib import Path

from pan_core.errors import PanError

_log = logging.getLogger(__name__)


def in_repository(root: Path) -> bool:
    """Tell whether a repository of git holds a folder."""
    return any((folder / ".git").exists() for folder in (root.absolute(), *root.absolute().parents))


def go_without_git(root: Path) -> None:
    """Set `core.no_scm` in DVC's local configuration if no repository holds the project; otherwise DVC refuses to run.

    Args:
        root: The project's root.

    Raises:
        PanError: If the configuration cannot be written.
    """
    if not (root / ".dvc").is_dir() or in_repository(root):
        return

    from dvc.config import Config, ConfigError  # late: start-up

    try:
        config = Config(str(root / ".dvc"), validate=False)
        if config.get("core", {}).get("no_scm"):
            return
        with config.edit("local") as local:
            local.setdefault("core", {})["no_scm"] = True
    except (ConfigError, OSError) as error:
        raise PanError(
            f"{root}: not a git repository, and DVC could not be told to go without ({error}); "
            "run `dvc config --local core.no_scm true`",
            code="git.missing",
        ) from error
    _log.warning(
        "%s: not a git repository; DVC goes without one from now on (core.no_scm in .dvc/config.local). After `git init`, for "
        "`dvc exp`, take it back: dvc config --local --unset core.no_scm",
        root.absolute(),
    )
