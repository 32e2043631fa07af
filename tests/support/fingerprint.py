"""All of a workspace that a user could miss, in a form that can be compared."""

import os
import stat
from pathlib import Path

from conftest import Folder


def files(root: Path, *, times: bool = False) -> dict[str, object]:
    """Every path below ``root`` but git's own: kind, full mode, content, on request mtime (ns)."""
    found: dict[str, object] = {}
    for parent, folders, names in os.walk(root):
        if parent == str(root):
            folders[:] = [name for name in folders if name != ".git"]
        for name in (*folders, *names):
            path = Path(parent, name)
            found[str(path.relative_to(root))] = _entry(path, times)
    return found


def _entry(path: Path, times: bool) -> object:
    seen = path.lstat()
    when = (seen.st_mtime_ns,) if times and not stat.S_ISDIR(seen.st_mode) else ()
    if stat.S_ISLNK(seen.st_mode):
        return ("link", str(path.readlink()), *when)
    if stat.S_ISREG(seen.st_mode):
        return ("file", oct(stat.S_IMODE(seen.st_mode)), path.read_bytes(), *when)
    return (stat.S_IFMT(seen.st_mode), oct(stat.S_IMODE(seen.st_mode)))


def git_side(folder: Folder) -> dict[str, object]:
    """HEAD, index, refs (without ours), stash, operation in progress."""
    git_dir = Path(os.fsdecode(folder.git("rev-parse", "--absolute-git-dir").strip()))
    index = git_dir / "index"
    refs = folder.git("for-each-ref", "--format=%(refname) %(objectname) %(symref)")
    operations = ("MERGE_HEAD", "MERGE_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG")
    return {
        "head": (git_dir / "HEAD").read_bytes(),
        "index": index.read_bytes() if index.exists() else None,
        "refs": [line for line in refs.splitlines() if b" refs/jellyml/" not in b" " + line],
        "stash": folder.git("stash", "list"),
        "operation": {n: (git_dir / n).read_bytes() for n in operations if (git_dir / n).exists()},
        "rebase": files(git_dir / "rebase-merge"),
        "locks": sorted(str(path) for path in git_dir.rglob("*.lock")),
    }


def workspace(folder: Folder) -> dict[str, object]:
    """Everything, for *exactly as it was*."""
    return {"files": files(folder.path), **git_side(folder)}
