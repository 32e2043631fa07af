"""HEAD, the index and the files of an operation in progress: read, locked, put as wanted."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from jellyml.errors import GitError, UnsafeToContinue, pasteable
from jellyml.fs import atomic
from jellyml.repo.git import Git
from jellyml.repo.repository import Repository
from jellyml.workspace import state
from jellyml.workspace.state import Head

LOCK_WAIT = 3.0  # seconds for a git command to drop its lock


def move_head(repository: Repository, private: Path, wanted: Head, reason: str) -> None:
    """Move HEAD as git would, reflog included; nothing when it stands there.

    Not through git: killed, it would leave a HEAD.lock that nobody can tell from another's.
    """
    now = state.head_of(repository)
    if now == wanted:
        return
    if (repository.common_dir / "reftable").is_dir():
        _move_by_git(repository, wanted, reason)
        return
    with lock(repository.git_dir / "HEAD.lock", private):
        _note_in_reflog(repository, now, wanted, reason)
        new = private / "HEAD"
        text = f"ref: {wanted.ref}\n" if wanted.ref else f"{wanted.commit}\n"
        atomic.replace(new, [os.fsencode(text)], mode=0o666)
        new.replace(repository.git_dir / "HEAD")
        atomic.sync_folder(repository.git_dir)


def make_branch(git: Git, name: str) -> None:
    """A new branch where HEAD stands; a GitError when there is one of that name."""
    commit = git.line("rev-parse", "--verify", "HEAD")
    git.run("update-ref", f"refs/heads/{name}", commit, "0" * len(commit))


def drop_branch(repository: Repository, name: str, commit: str) -> None:
    """Take such a branch away again, if it stands where it was made.

    Not through git, which would lock all packed refs for it.
    """
    ref = repository.common_dir / "refs" / "heads" / name
    if content_of(ref) == f"{commit}\n".encode():
        ref.unlink()
        (repository.common_dir / "logs" / "refs" / "heads" / name).unlink(missing_ok=True)


def _move_by_git(repository: Repository, wanted: Head, reason: str) -> None:
    if wanted.ref:
        repository.git.run("symbolic-ref", "-m", reason, "HEAD", wanted.ref)
    elif wanted.commit:
        repository.git.run("update-ref", "--no-deref", "-m", reason, "HEAD", wanted.commit)


def _note_in_reflog(repository: Repository, now: Head, wanted: Head, reason: str) -> None:
    log = repository.git_dir / "logs" / "HEAD"
    asked = ("config", "--default", "true", "core.logAllRefUpdates")
    if wanted.commit is None or (
        not log.exists() and repository.git.line(*asked).lower() in ("false", "no", "off", "0")
    ):
        return
    log.parent.mkdir(exist_ok=True)
    none = "0" * len(wanted.commit)
    line = f"{now.commit or none} {wanted.commit} {_who(repository.git)}\t{reason}\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(log, flags, 0o666), "ab") as file:
        file.write(os.fsencode(line))


def _who(git: Git) -> str:
    """The user, as the reflog names them; us, where git does not know them."""
    try:
        return git.line("var", "GIT_COMMITTER_IDENT")
    except GitError:
        return f"JellyML <jellyml@localhost> {int(time.time())} +0000"


def put_index(repository: Repository, new: Path | None) -> None:
    """Put an index in place whole, or take it away. Its lock is held."""
    if new is None:
        repository.index.unlink(missing_ok=True)
    else:
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        new.replace(repository.index)
    atomic.sync_folder(repository.git_dir)


def put_operation(git_dir: Path, wanted: Mapping[str, bytes]) -> None:
    """Make the files of a merge, rebase and so on these, and no others."""
    for name, content in state.operation_files(git_dir):
        if name not in wanted or wanted[name] != content:
            (git_dir / name).unlink(missing_ok=True)
    for name in state.OPERATION:
        folder = git_dir / name
        if folder.is_dir() and not any(one.startswith(f"{name}/") for one in wanted):
            atomic.remove_tree(folder)
    for name, content in wanted.items():
        path = git_dir / name
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.replace(path, [content], mode=0o666)


def digest(content: bytes | None) -> str | None:
    """How the journal names bytes that it does not hold."""
    import hashlib  # late: it loads all of OpenSSL

    return None if content is None else hashlib.sha256(content).hexdigest()


def content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextmanager
def lock(place: Path, private: Path) -> Iterator[None]:
    """One of git's own locks, known as ours by being the same file as our token."""
    token = private / "token"
    if not token.exists():
        atomic.replace(token, [b"jellyml\n"])
    until = time.monotonic() + LOCK_WAIT
    while not _take(token, place):
        if time.monotonic() >= until:
            raise UnsafeToContinue(
                f"A git command is at work here (or was killed): its {place.name} is there."
                " Nothing was changed.",
                f"wait until it has ended; if none is running: rm {pasteable(place)}",
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        drop(place, private)


def drop(place: Path, private: Path) -> None:
    """Take a lock away if it is ours."""
    with suppress(OSError):
        if is_ours(private / "token", place):
            place.unlink()
    if is_ours(private / "token", place):  # a fault that passes must not lock git out
        place.unlink()


def _take(token: Path, lock: Path) -> bool:
    if is_ours(token, lock):
        return True  # one of us was killed: whoever holds our own lock now may take it over
    try:
        os.link(token, lock)
    except FileExistsError:
        return False
    except OSError:  # no hard links here: known by its content
        with suppress(FileExistsError), lock.open("xb") as file:
            file.write(token.read_bytes())
            return True
        return False
    return True


def is_ours(token: Path, lock: Path) -> bool:
    """git's own index.lock is empty or an index, never our token."""
    with suppress(OSError):  # none there, or no file
        return lock.samefile(token) or atomic.read_plain(lock) == atomic.read_plain(token)
    return False
