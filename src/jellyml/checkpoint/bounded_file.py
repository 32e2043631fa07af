"""Open the files of a checkpoint, local or remote, and limit how many bytes are read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jellyml.budget import Budget
from jellyml.errors import BadSnapshot, JellyError, NoSnapshot, pasteable
from jellyml.formats.source import ByteSource, LocalFile, NotAFile, OpenFile, OverBudget
from jellyml.remote.address import Location, Remote
from jellyml.remote.file import RemoteFile

AGAIN = "take the checkpoint again from where it came, or save it again."
# A local file may be read completely a few times, and a small one more often.
_MOST_READINGS = 4
_READ_FREELY = 16 << 20
_MOST_FETCHED = 64 << 20  # bytes of a remote file that are fetched in search of a snapshot
_GLANCED_AT_ONCE = 64 << 10  # bytes that one request of a glance fetches


class NotSearched(NoSnapshot):
    """No snapshot was found, and the file was not searched completely."""


class Sources:
    """The files that one reader has opened, and the budget of the command that reads them.

    What was fetched of a remote file is cached here.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget.of_library()
        self._remote: dict[Remote, RemoteFile] = {}

    def open(self, location: Location) -> ByteSource:
        """Return a file. Raises NoSnapshot, JellyError if a remote one cannot be read."""
        if isinstance(location, Path):
            return LocalFile(location, self.budget)
        return self.fetch(location)

    def fetch(self, remote: Remote) -> RemoteFile:
        """Return a remote file; the first call makes a request."""
        if remote not in self._remote:
            self._remote[remote] = RemoteFile(remote, budget=self.budget)
        return self._remote[remote]

    def exists(self, location: Location) -> bool:
        """Return whether there is such a file. Raises JellyError if a request fails."""
        if isinstance(location, Path):
            return location.exists()
        try:
            self.fetch(location)
        except NoSnapshot:
            return False
        return True

    def is_folder(self, location: Location, bundle: str) -> bool:
        """Return whether it is a folder; a remote one must contain the bundle."""
        with explain_errors(location):
            if isinstance(location, Path):
                return location.is_dir()
            return not self.exists(location) and self.exists(location / bundle)

    def clear(self) -> None:
        """Drop what was fetched. It is fetched again when it is needed."""
        self._remote.clear()

    @contextmanager
    def reading(self, location: Location, glance: int | None = None) -> Iterator[OpenFile]:
        """Open a file to search it, or to read ``glance`` bytes at most.

        Raises NoSnapshot, BadSnapshot, JellyError; NotSearched if a glance or a search of a
        remote file reads too many bytes.
        """
        with explain_errors(location, is_glance=glance is not None):
            source = self.open(location)
            self.budget.opened(source.size)
            with self.budget.part(f"the search of {location}"), source.open() as file:
                if glance is not None:
                    file.left, file.at_once = glance, _GLANCED_AT_ONCE
                elif file.is_remote:
                    file.left = _MOST_FETCHED
                else:
                    file.left = _MOST_READINGS * source.size + _READ_FREELY
                yield file


@contextmanager
def explain_errors(location: Location, *, is_glance: bool = False) -> Iterator[None]:
    """Convert errors to a JellyError that names the file and a fix."""
    try:
        yield
    except FileNotFoundError:
        raise NoSnapshot(f"There is no file {location}.", "check its name and folder.") from None
    except NotAFile:
        raise NoSnapshot(
            f"{location} is not a file.", "name the checkpoint's file or folder."
        ) from None
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise JellyError(
            f"{location} could not be read: {reason}.", "check its permissions and its disk."
        ) from None
    except OverBudget:
        raise _over_budget(location, is_glance=is_glance) from None
    except BadSnapshot as problem:
        raise type(problem)(
            f"{location} holds a JellyML snapshot that cannot be used. {problem.problem}",
            problem.fix or AGAIN,
        ) from None


def _over_budget(location: Location, *, is_glance: bool) -> JellyError:
    if isinstance(location, Remote):
        return NotSearched(
            f"{location} does not say where it carries a snapshot, and all of it would have to be "
            "fetched.",
            "download it, then name the file.",
        )
    if is_glance:
        return NotSearched(
            f"{location} was searched only in part.", f"jellyml show {pasteable(location)}"
        )
    return BadSnapshot(f"{location} is full of wrong snapshot headers.", AGAIN)
