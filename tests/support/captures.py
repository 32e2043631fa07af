"""What a capture is held against: a plain walk of the disk, and every byte around it."""

import os
import stat
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jellyml
from conftest import Folder
from jellyml.errors import JellyWarning
from jellyml.snapshot import Snapshot

Tree = dict[bytes, tuple[str, bytes]]


def walked(root: Path) -> Tree:
    """Every file and link below a folder, but for git's own: (kind, content)."""
    found: Tree = {}
    for parent, folders, names in os.walk(os.fsencode(root)):
        if b".git" in folders:
            folders.remove(b".git")
        for name in (*names, *folders):
            path = os.path.join(parent, name)  # noqa: PTH118 (bytes)
            seen = os.lstat(path)
            relative = os.path.relpath(path, os.fsencode(root))
            if stat.S_ISLNK(seen.st_mode):
                found[relative] = ("link", os.readlink(path))  # noqa: PTH115
            elif stat.S_ISREG(seen.st_mode) and name != b".git":
                with open(path, "rb") as file:  # noqa: PTH123
                    kind = "program" if seen.st_mode & 0o100 else "file"
                    found[relative] = (kind, file.read())
    return found


def ignored(folder: Folder) -> set[bytes]:
    quiet = ("-c", "core.fsmonitor=false")
    listed = folder.git(*quiet, "ls-files", "-o", "-i", "--exclude-standard", "-z")
    return set(listed.split(b"\0")[:-1])


def kept(folder: Folder) -> Tree:
    """What a snapshot of a folder should hold: all that lies there and is not ignored."""
    left = ignored(folder)
    return {path: entry for path, entry in walked(folder.path).items() if path not in left}


def unpacked(filling: bytes, place: Path) -> Tree:
    """The blobs of a bundle's HEAD, as plain ``git clone --bare`` brings them."""
    place.mkdir()
    bundle = place / "code.bundle"
    bundle.write_bytes(filling[1024:])
    git = ["git", "-c", "advice.detachedHead=false"]
    clone = [*git, "clone", "-q", "--bare", str(bundle), str(place / "clone")]
    subprocess.run(clone, check=True, capture_output=True)
    inside = [*git, "-C", str(place / "clone")]
    subprocess.run([*inside, "fsck", "--strict", "--no-dangling"], check=True, capture_output=True)
    listed = subprocess.run([*inside, "ls-tree", "-rz", "HEAD"], check=True, capture_output=True)
    rows = [row.split(b"\t", 1) for row in listed.stdout.split(b"\0")[:-1]]
    ids = b"".join(head.split()[2] + b"\n" for head, _ in rows if head[:6] != b"160000")
    read = [*inside, "cat-file", "--batch"]
    answer = subprocess.run(read, input=ids, check=True, capture_output=True).stdout
    kinds = {b"100644": "file", b"100755": "program", b"120000": "link", b"160000": "gitlink"}
    found: Tree = {}
    for head, path in rows:
        if head[:6] == b"160000":
            found[path] = ("gitlink", head.split()[2])
            continue
        start = answer.index(b"\n") + 1
        size = int(answer[:start].split()[2])
        found[path] = (kinds[head[:6]], answer[start : start + size])
        answer = answer[start + size + 1 :]
    return found


def taken(folder: Path, **options: object) -> Snapshot:
    """A capture that must succeed; what it warns of is no matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JellyWarning)
        return jellyml.create_snapshot(folder, strict=True, **options)  # type: ignore[arg-type]


def everything(root: Path) -> dict[str, tuple[object, ...]]:
    """Every path below a folder, git's own included: kind, mode, times, content."""
    found: dict[str, tuple[object, ...]] = {}
    for parent, folders, names in os.walk(root):
        for name in (".", *folders, *names):
            path = Path(parent, name)
            seen = path.lstat()
            content: object = None
            if stat.S_ISLNK(seen.st_mode):
                content = path.readlink()
            elif stat.S_ISREG(seen.st_mode):
                content = path.read_bytes()
            found[str(path)] = (seen.st_mode, seen.st_mtime_ns, seen.st_ino, content)
    return found


@contextmanager
def untouched(*roots: Path) -> Iterator[None]:
    """Fails if anything in these folders is another afterwards: a byte, a mode, a time."""
    before = [everything(root) for root in roots]
    yield
    for root, was in zip(roots, before, strict=True):
        now = everything(root)
        changed = {path for path in {*was, *now} if was.get(path) != now.get(path)}
        assert not changed, f"changed in {root}: {sorted(changed)}"
