"""The public class ``Workspace``: one method per operation.

``operations`` is imported only if there is something to do: finding out is faster without it.
"""

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.errors import UsageError
from jellyml.fs import paths
from jellyml.repo.repository import Repository
from jellyml.repo.worktrees import folder_of, has_any
from jellyml.workspace import results
from jellyml.workspace.results import Entry, Finding, Outcome

if TYPE_CHECKING:
    import os


class Workspace:
    """The repository and working tree that contain a folder.

    Every method raises JellyError (NotARepository, GitError, BadSnapshot, UnsafeToContinue) with
    the workspace unchanged. Every method first rolls back an interrupted operation.
    """

    def __init__(self, folder: "str | os.PathLike[str]" = ".") -> None:
        self._folder = paths.parse_path("folder", folder)

    def load(
        self,
        model: "str | os.PathLike[str]",
        *,
        to: "str | os.PathLike[str] | None" = None,
        dry_run: bool = False,
        max_unpacked: int = 4 << 30,
        unrelated: bool = False,
    ) -> Outcome:
        """Load the code of a checkpoint, a local path or an address such as ``s3://...``.

        ``to`` names a missing or empty folder to load into. With ``dry_run`` nothing changes, and
        the result lists the changes. ``max_unpacked`` (bytes) limits the unpacked size of an
        untrusted snapshot.

        Raises Unrelated if the code shares neither a commit nor a path with the repository, because
        it would replace everything there. ``unrelated=True`` loads it anyway.
        """
        from jellyml.workspace import operations

        return operations.load(
            self._folder,
            model,
            to,
            dry_run=dry_run,
            max_unpacked=max_unpacked,
            unrelated=unrelated,
        )

    def undo(self) -> Outcome:
        """Go back to the state before the last load, restore or redo."""
        repository = self._repository()
        if not has_any(repository):
            return results.nothing("undo", repository.root)
        from jellyml.workspace import operations

        return operations.undo(repository)

    def redo(self) -> Outcome:
        """Go back to the state before the last undo, with the edits made there."""
        repository = self._repository()
        if not has_any(repository):
            return results.nothing("redo", repository.root)
        from jellyml.workspace import operations

        return operations.redo(repository)

    def restore(self, number: int) -> Outcome:
        """Go to any state that ``history`` lists. This can be undone like a load."""
        repository = self._repository()
        if not has_any(repository):
            raise results.no_such_state(number)
        from jellyml.workspace import operations

        return operations.restore(repository, number)

    def repair(self) -> Outcome | None:
        """Roll back an interrupted operation. Returns None if there is none."""
        repository = self._repository()
        if not has_any(repository):
            return None
        from jellyml.workspace import operations

        return operations.repair(repository)

    def history(self) -> list[Entry]:
        """Return every state that can be restored, newest first."""
        repository = self._repository()
        if not has_any(repository):
            return []
        from jellyml.workspace import operations

        return operations.history(repository)

    def forget_last(self) -> Outcome:
        """Remove the last entry from the undo stack; ``restore`` can still reach its state."""
        return self._forget(everything=False)

    def forget_all(self) -> Outcome:
        """Empty the undo stack; ``restore`` can still reach the states."""
        return self._forget(everything=True)

    def _forget(self, *, everything: bool) -> Outcome:
        repository = self._repository()
        if not has_any(repository):
            return results.nothing("forget", repository.root)
        from jellyml.workspace import operations

        return operations.forget(repository, everything=everything)

    def prune(
        self,
        *,
        older_than: float | None = None,
        larger_than: int | None = None,
        everything: bool = False,
    ) -> Outcome:
        """Delete states that are older than some seconds, or until the store fits some bytes.

        With ``everything``, all of JellyML's files in the repository are removed.
        """
        repository = self._repository()
        if not has_any(repository):
            return results.nothing("prune", repository.root)
        from jellyml.workspace import operations

        return operations.prune(repository, older_than, larger_than, everything=everything)

    def doctor(self) -> list[Finding]:
        """Check the store, log, locks and leftover files; repair what is safe, report the rest."""
        repository = self._repository()
        if not has_any(repository):
            return []
        from jellyml.workspace import operations

        return operations.doctor(repository)

    @property
    def history_path(self) -> Path:
        """Return the folder of the operation log, which may not exist yet."""
        return folder_of(self._repository()) / "ops"

    @property
    def folder(self) -> Path:
        """Return ``history_path``, under its name in JellyML 2.0."""
        return self.history_path

    def _repository(self) -> Repository:
        if not stat.S_ISDIR(paths.mode_of(self._folder)):
            raise UsageError(f"{self._folder} is not a folder.", "pass a folder in a repository.")
        return Repository.find(self._folder)
