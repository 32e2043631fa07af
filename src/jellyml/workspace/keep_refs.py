"""JellyML's refs in the user's repository, deleted under a lock that JellyML recognises.

Git locks all packed refs to delete one ref. If killed, it leaves a ``packed-refs.lock`` that
cannot be told from another git's, and that blocks every later one.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from jellyml.fs import atomic
from jellyml.repo.git import Git
from jellyml.repo.repository import Repository
from jellyml.workspace import gitdir

KEEP = "refs/jellyml/keep/"
PACKED_LOCK = "packed-refs.lock"


def list_refs(git: Git, *conditions: str) -> list[str]:
    """Return the names of the refs that keep the user's commits alive."""
    listed = git.run("for-each-ref", "--format=%(refname)", *conditions, KEEP)
    return listed.decode().split()


def drop(repository: Repository, private: Path, names: Iterable[str]) -> None:
    """Delete JellyML's refs, loose or packed. Raises UnsafeToContinue if git holds the lock."""
    gone = set(names)
    if not gone:
        return
    common = repository.common_dir
    if (common / "reftable").is_dir():
        lines = "".join(f"delete {name}\n" for name in sorted(gone))
        repository.git.run("update-ref", "--stdin", stdin=lines.encode())
        return
    with gitdir.lock(common / PACKED_LOCK, private):
        _drop_packed(common / "packed-refs", private / "packed-refs", gone)
        for name in gone:
            (common / name).unlink(missing_ok=True)
            (common / "logs" / name).unlink(missing_ok=True)


def _drop_packed(packed: Path, beside: Path, gone: set[str]) -> None:
    if not packed.exists():
        return
    lines = packed.read_bytes().splitlines(keepends=True)
    wanted = {
        name.encode() for name in gone
    }  # these refs name commits, which have no peeled line: one line per ref
    left = [line for line in lines if line.rstrip(b"\n").partition(b" ")[2] not in wanted]
    if len(left) == len(lines):
        return
    atomic.replace(beside, left, like=packed.stat())
    beside.replace(packed)
    atomic.sync_folder(packed.parent)


def remove_folders(common: Path) -> None:
    """Remove the folders of JellyML's refs, if empty."""
    for top in (common, common / "logs"):
        for folder in (top / "refs" / "jellyml" / "keep", top / "refs" / "jellyml"):
            with suppress(OSError):
                folder.rmdir()
