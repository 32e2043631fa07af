"""A workspace as its user has it: one method for all that can be asked of it.

What does the work is imported when there is some: to find out that there is none is quicker.
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
    """The repository and working tree that hold a folder.

    Every method raises JellyError (NotARepository, GitError, BadSnapshot, UnsafeToContinue)
    with the workspace as it was, and first rolls back what an interrupted one left behind.
    """

    def __init__(self, folder: "str | os.PathLike[str]" = ".") -> None:
        self._asked = paths.given("folder", folder)

    def load(
        self,
        model: "str | os.PathLike[str]",
        *,
        to: "str | os.PathLike[str] | None" = None,
        dry_run: bool = False,
        max_unpacked: int = 4 << 30,
        unrelated: bool = False,
    ) -> Outcome:
        """Bring back the code in a checkpoint, here or at an address such as ``s3://...``.

        ``to`` names a missing or empty folder for it.

        With ``dry_run`` only say what would change. ``max_unpacked`` (bytes) bounds what a
        stranger's snapshot may unpack to. Code that has neither a commit nor a path in common
        with the repository would remove all that is in it: that raises Unrelated, and is done
        with ``unrelated``.
        """
        from jellyml.workspace import operations

        return operations.load(
            self._asked,
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
        """Go back to the state before the last undo, edits made there included."""
        repository = self._repository()
        if not has_any(repository):
            return results.nothing("redo", repository.root)
        from jellyml.workspace import operations

        return operations.redo(repository)

    def restore(self, number: int) -> Outcome:
        """Go to any state that ``history`` lists; that can be undone like a load."""
        repository = self._repository()
        if not has_any(repository):
            raise results.no_such_state(number)
        from jellyml.workspace import operations

        return operations.restore(repository, number)

    def repair(self) -> Outcome | None:
        """Roll back what an interrupted operation left behind; None where there is nothing."""
        repository = self._repository()
        if not has_any(repository):
            return None
        from jellyml.workspace import operations

        return operations.repair(repository)

    def history(self) -> list[Entry]:
        """Every state that can be gone back to, newest first."""
        repository = self._repository()
        if not has_any(repository):
            return []
        from jellyml.workspace import operations

        return operations.history(repository)

    def forget_last(self) -> Outcome:
        """Take the last entry off the undo stack; its state stays reachable by ``restore``."""
        return self._forget(everything=False)

    def forget_all(self) -> Outcome:
        """Empty the undo stack; the states stay reachable by ``restore``."""
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
        """Give up states: older than so many seconds, or until the store fits so many bytes.

        With ``everything`` nothing of ours stays in the repository.
        """
        repository = self._repository()
        if not has_any(repository):
            return results.nothing("prune", repository.root)
        from jellyml.workspace import operations

        return operations.prune(repository, older_than, larger_than, everything=everything)

    def doctor(self) -> list[Finding]:
        """Check store, journal, locks and leftovers; repair what is safe, and say the rest."""
        repository = self._repository()
        if not has_any(repository):
            return []
        from jellyml.workspace import operations

        return operations.doctor(repository)

    @property
    def history_path(self) -> Path:
        """The folder of the operation log, whether anything is in it yet or not."""
        return folder_of(self._repository()) / "ops"

    @property
    def folder(self) -> Path:
        """The same, by its name in JellyML 2.0."""
        return self.history_path

    def _repository(self) -> Repository:
        if not stat.S_ISDIR(paths.mode_of(self._asked)):
            raise UsageError(f"{self._asked} is not a folder.", "pass a folder in a repository.")
        return Repository.find(self._asked)
