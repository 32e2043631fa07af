"""Git as it is to read the user's index: nothing touched, and no untrue setting believed."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jellyml import throwaway
from jellyml.code.repository import Git, Repository

# A worktree's own parts of a git directory that a status reads.
_OWN_PARTS = ("HEAD", "index", "config.worktree", "info/sparse-checkout")


@contextmanager
def reading(repository: Repository) -> Iterator[Git]:
    """Git on the user's index as it is.

    A split one is read from a copy: git marks its shared part as used whenever it reads it.
    """
    # Untrue settings hide files: git believes that README and readme are one.
    folds = (repository.git_dir / "head").exists()
    git = repository.git.configured(core__ignoreCase=str(folds).lower())
    shared = [path.name for path in repository.git_dir.glob("sharedindex.*") if is_plain(path)]
    sparse = _is_sparse(repository)
    if not shared and not sparse:
        yield git
        return
    with throwaway.folder() as place:
        (place / "info").mkdir()
        for part in (*_OWN_PARTS, *shared):
            if (repository.git_dir / part).exists():
                shutil.copy2(repository.git_dir / part, place / part)
        (place / "commondir").write_bytes(os.fsencode(repository.common_dir))
        private = replace(git, directory=place)
        if sparse:
            private = replace(private, own_objects=_trees(git, place))
        yield private


def is_plain(path: Path) -> bool:
    """True for a regular file itself: a link or a device in its place is not read."""
    return not path.is_symlink() and path.is_file()


def _is_sparse(repository: Repository) -> bool:
    """True for an index that holds folders; false alarms do no harm."""
    if not (repository.git_dir / "info" / "sparse-checkout").exists():
        return False
    return b"sdir" in repository.index.read_bytes()


def _trees(git: Git, place: Path) -> Path:
    """An object store with HEAD and the trees that an index of folders is unfolded from.

    Git writes those trees anew, and would mark the user's own as used.
    """
    commit = git.run("rev-parse", "-q", "--verify", "HEAD^{commit}", accept=(0, 1)).decode().strip()
    # Told to expect files there, git does not unfold a folder for one that lies in it.
    folded = git.configured(sparse__expectFilesOutsideOfPatterns="true", index__sparse="true")
    listed = folded.run("ls-files", "--sparse", "-s", "-z").split(b"\0")
    roots = {row.split()[1].decode() for row in listed if row.startswith(b"040000 ")}
    if commit:
        roots.add(git.line("rev-parse", f"{commit}^{{tree}}"))
    wanted = roots | {commit} - {""}
    for root in roots:
        rows = git.run("ls-tree", "-rtdz", root).split(b"\0")[:-1]
        wanted |= {row.split()[2].decode() for row in rows if b" tree " in row}
    pack = place / "objects" / "pack" / "pack-trees.pack"
    pack.parent.mkdir(parents=True)
    with pack.open("wb") as out:
        ids = "".join(f"{one}\n" for one in wanted).encode()
        git.run("pack-objects", "--stdout", "-q", "--window=0", stdin=ids, stdout=out)
    git.run("index-pack", str(pack))
    return place / "objects"


def without_filters(git: Git, config: Mapping[str, str]) -> Git:
    """The same git with every filter of ``config`` switched off.

    Which files a filter is for is said in attributes files, which a stranger's code brings
    along. Without a program git takes a file's bytes as they are (convert.c).
    """
    names = {key.rpartition(".")[0] for key in config if key.startswith("filter.")}
    off = {f"{name}.{key}": "" for name in names for key in ("clean", "smudge", "process")}
    return replace(git, config=git.config | off | {f"{name}.required": "false" for name in names})
