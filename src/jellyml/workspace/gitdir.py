"""Read, lock and write HEAD, the index, and the files of a merge or rebase in progress."""

import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from jellyml.errors import GitError, UnsafeToContinue, pasteable
from jellyml.fs import atomic
from jellyml.repo.git import Git
from jellyml.repo.repository import Repository
from jellyml.repo.sharing import share
from jellyml.workspace import state
from jellyml.workspace.state import Head

LOCK_WAIT = 3.0  # seconds for a git command to drop its lock


def move_head(
    repository: Repository, private: Path, wanted: Head, reason: str, sharing: str = ""
) -> None:
    """Move HEAD as git would, and write its reflog. Does nothing if HEAD is already there.

    ``sharing`` is the value of core.sharedRepository, here and below.
    Git is not used: if killed, it would leave a HEAD.lock that cannot be told from another git's.
    """
    now = state.head_of(repository)
    if now == wanted:
        return
    if (repository.common_dir / "reftable").is_dir():
        _move_by_git(repository, wanted, reason)
        return
    with lock(repository.git_dir / "HEAD.lock", private):
        _note_in_reflog(repository, now, wanted, reason, sharing)
        new = private / "HEAD"
        text = f"ref: {wanted.ref}\n" if wanted.ref else f"{wanted.commit}\n"
        atomic.replace(new, [os.fsencode(text)], mode=0o666)
        share(new, sharing)
        new.replace(repository.git_dir / "HEAD")
        atomic.sync_folder(repository.git_dir)


def make_branch(git: Git, name: str) -> None:
    """Create a branch at HEAD. Raises GitError if the name exists."""
    commit = git.line("rev-parse", "--verify", "HEAD")
    git.run("update-ref", f"refs/heads/{name}", commit, "0" * len(commit))


def drop_branch(repository: Repository, name: str, commit: str) -> bool:
    """Delete a branch made by ``make_branch``, if it is still at that commit.

    Git is not used, because it would lock all packed refs.
    """
    ref = repository.common_dir / "refs" / "heads" / name
    if content_of(ref) != f"{commit}\n".encode():
        return False
    ref.unlink()
    (repository.common_dir / "logs" / "refs" / "heads" / name).unlink(missing_ok=True)
    return True


def _move_by_git(repository: Repository, wanted: Head, reason: str) -> None:
    if wanted.ref:
        repository.git.run("symbolic-ref", "-m", reason, "HEAD", wanted.ref)
    elif wanted.commit:
        repository.git.run("update-ref", "--no-deref", "-m", reason, "HEAD", wanted.commit)


def _note_in_reflog(
    repository: Repository, now: Head, wanted: Head, reason: str, sharing: str
) -> None:
    log = repository.git_dir / "logs" / "HEAD"
    command = ("config", "--default", "true", "core.logAllRefUpdates")
    if wanted.commit is None or (
        not log.exists() and repository.git.line(*command).lower() in ("false", "no", "off", "0")
    ):
        return
    log.parent.mkdir(exist_ok=True)
    none = "0" * len(wanted.commit)
    line = f"{now.commit or none} {wanted.commit} {_who(repository.git)}\t{reason}\n"
    with open(log, "ab", opener=atomic.no_follow) as file:
        file.write(os.fsencode(line))
    if sharing:
        with suppress(PermissionError):  # it belongs to another user of the repository
            share(log, sharing)


def _who(git: Git) -> str:
    """Return the user's identity for the reflog; JellyML's if git has none."""
    try:
        return git.line("var", "GIT_COMMITTER_IDENT")
    except GitError:
        return f"JellyML <jellyml@localhost> {int(time.time())} +0000"


def put_index(repository: Repository, new: Path | None, sharing: str = "") -> None:
    """Replace the index atomically, or delete it. The caller holds index.lock."""
    if new is None:
        repository.index.unlink(missing_ok=True)
    else:
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        share(new, sharing)
        new.replace(repository.index)
    atomic.sync_folder(repository.git_dir)


def put_operation(
    git_dir: Path, wanted: Mapping[str, bytes], modes: Mapping[str, int], sharing: str = ""
) -> None:
    """Write the files of a merge, rebase or similar operation, and delete all others.

    A file that is not in ``modes`` gets the mode that git would give it.
    """
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
            share(path, sharing)
        if name in modes and stat.S_IMODE(path.lstat().st_mode) != modes[name]:
            path.chmod(modes[name])


def digest(content: bytes | None) -> str | None:
    """Return the digest by which the operation log refers to bytes that it does not contain."""
    import hashlib  # late: it loads all of OpenSSL

    return None if content is None else hashlib.sha256(content).hexdigest()


def content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextmanager
def lock(place: Path, private: Path) -> Iterator[None]:
    """Hold one of git's lock files.

    Idea: the lock file is a hard link to JellyML's token file. Invariant: a lock that is the same
    file as the token was left by a killed jellyml command, so the holder of JellyML's lock may take
    it over. Any other lock belongs to git, and is waited for. Raises UnsafeToContinue.
    """
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
    """Delete a lock file if JellyML created it."""
    with suppress(OSError):
        if is_ours(private / "token", place):
            place.unlink()
    if is_ours(private / "token", place):  # retry: a temporary error must not lock git out
        place.unlink()


def _take(token: Path, lock: Path) -> bool:
    if is_ours(token, lock):
        return (
            True  # left by a killed jellyml command; the holder of JellyML's lock may take it over
        )
    try:
        os.link(token, lock)
    except FileExistsError:
        return False
    except OSError:  # no hard links on this file system: the lock is recognised by its content
        with suppress(FileExistsError), lock.open("xb") as file:
            file.write(token.read_bytes())
            return True
        return False
    return True


def is_ours(token: Path, lock: Path) -> bool:
    """Return whether JellyML created a lock. git's index.lock is empty or an index."""
    with suppress(OSError):  # missing, or not a regular file
        return lock.samefile(token) or atomic.read_plain(lock) == atomic.read_plain(token)
    return False
