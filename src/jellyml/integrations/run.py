"""The code of one training run, captured at its start and put into all that it saves.

No error ends a run, except wrong arguments and, with ``strict``, a failed capture.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jellyml.capture.create import create_snapshot, without_code
from jellyml.errors import JellyError, JellyWarning, NotARepository
from jellyml.snapshot.facts import CodeFacts
from jellyml.snapshot.snapshot import Snapshot

if TYPE_CHECKING:
    import os


class RunCode:
    """The snapshot of a run; ``options`` are those of ``create_snapshot``."""

    def __init__(self, git_repo_path: "str | os.PathLike[str] | None" = None, **options: Any):
        self.git_repo_path = git_repo_path
        self.options = options
        self._taken: Snapshot | None = None

    def take(self) -> Snapshot:
        """Capture now. Raises UsageError; with ``strict``, any error of the capture."""
        try:
            self._taken = create_snapshot(self.git_repo_path, **self.options)
        except NotARepository as error:
            if self.options.get("strict"):
                raise
            _warn(f"The code was not captured. {error}")
            notes = self.options.get("notes")
            self._taken = without_code(self.git_repo_path, error, notes)
        return self._taken

    @property
    def snapshot(self) -> Snapshot:
        """Return the snapshot of the start; captured now if ``take`` was not called."""
        return self._taken if self._taken is not None else self.take()

    def fill(
        self,
        path: "str | os.PathLike[str]",
        by: Callable[[Path, Snapshot], object] | None = None,
    ) -> None:
        """Fill a finished file, or a folder by a sidecar. An error becomes a warning."""
        put(self.snapshot, Path(path), by)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle; a Snapshot alone would pickle as a plain dict."""
        state = dict(self.__dict__)
        if (taken := self._taken) is not None:
            facts = CodeFacts(
                root=Path(),
                commit=taken.commit,
                error=taken.error,
                left_out=taken.left_out,
                report=taken.report,
            )
            state["_taken"] = (taken.filling, taken.manifest, facts)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if state["_taken"] is not None:
            self._taken = Snapshot(*state["_taken"])


def put(
    snapshot: Snapshot, path: Path, by: Callable[[Path, Snapshot], object] | None = None
) -> None:
    """Fill a checkpoint, with ``by`` if given. Any error becomes a warning."""
    if not snapshot.filling:
        return  # the failed capture has warned already
    from jellyml.checkpoint.fill import fill, fill_of_run

    try:
        (by or (fill_of_run if path.is_dir() else fill))(path, snapshot)
    except Exception as error:  # noqa: BLE001 (the model is saved; the run continues)
        _warn(f"{path} carries no code: {error}")


def missing(extra: str, package: str) -> JellyError:
    return JellyError(
        f"jellyml.integrations.{extra} needs {package}, which is not installed here.",
        f"pip install 'jellyml[{extra}]'",
    )


def _warn(sentence: str) -> None:
    warnings.warn(sentence, JellyWarning, stacklevel=3)
