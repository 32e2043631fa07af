"""HEAD, the index and the files of an operation in progress: read, locked, put as wanted."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from jellyml import files
from jellyml.code.repository import Git, Repository
from jellyml.errors import UnsafeToContinue
from jellyml.workspace import state
from jellyml.workspace.state import Head

INDEX_WAIT = 3.0  # seconds for a git command to drop its lock


def move_head(repository: Repository, durable: Git, wanted: Head, reason: str) -> None:
    """Move HEAD through git, so that the reflog tells of it; nothing when it stands there."""
    if state.head_of(repository) == wanted:
        return
    if wanted.ref:
        durable.run("symbolic-ref", "-m", reason, "HEAD", wanted.ref)
    elif wanted.commit:
        durable.run("update-ref", "--no-deref", "-m", reason, "HEAD", wanted.commit)


def put_index(repository: Repository, new: Path | None) -> None:
    """Put an index in place whole, or take it away. Its lock is held."""
    if new is None:
        repository.index.unlink(missing_ok=True)
    else:
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        new.replace(repository.index)
    files.sync_folder(repository.git_dir)


def put_operation(git_dir: Path, wanted: Mapping[str, bytes]) -> None:
    """Make the files of a merge, rebase and so on these, and no others."""
    for name, content in state.operation_files(git_dir):
        if name not in wanted or wanted[name] != content:
            (git_dir / name).unlink(missing_ok=True)
    for name in state.OPERATION:
        folder = git_dir / name
        if folder.is_dir() and not any(one.startswith(f"{name}/") for one in wanted):
            files.remove_tree(folder)
    for name, content in wanted.items():
        path = git_dir / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(path, [content], mode=0o666)


def digest(content: bytes | None) -> str | None:
    """How the journal names bytes that it does not hold."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextmanager
def index_lock(git_dir: Path, private: Path) -> Iterator[None]:
    """git's own lock on the index, known as ours by being the same file as our token."""
    token, lock = private / "token", git_dir / "index.lock"
    if not token.exists():
        files.replace(token, [b"jellyml\n"])
    until = time.monotonic() + INDEX_WAIT
    while not _take(token, lock):
        if time.monotonic() >= until:
            raise UnsafeToContinue(
                "A git command is at work here (or was killed): its index.lock is there."
                " Nothing was changed.",
                f"wait until it has ended; if none is running: rm {lock}",
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        if is_ours(token, lock):
            lock.unlink()


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
    with suppress(FileNotFoundError):
        return lock.samefile(token) or lock.read_bytes() == token.read_bytes()
    return False
