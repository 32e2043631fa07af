"""A temporary git directory, which reads the user's objects and never writes them.

Trees, commits and packs are created here. One ``fast-import`` turns an overlay into a commit,
one ``pack-objects`` turns a commit into a pack. The user's git directory is read through
alternates, and no byte of it changes.
"""

import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from jellyml.errors import GitError, TookTooLong
from jellyml.fs import atomic, tempdirs
from jellyml.repo.git import Git, make_bare, quoted
from jellyml.repo.paths import at, status
from jellyml.working_tree.attributes import default_attributes_file
from jellyml.working_tree.scan import SYMLINK, Entry, Scan


class ChangedMeanwhile(GitError):
    """A file changed while it was read; another read may succeed."""


_BLOCK = 1 << 20
_REF = b"refs/heads/scratch"
# Git's errors about one file: it is missing, or not in its declared encoding.
_ONE_OF_MANY = re.compile(r"could not open|unable to (?:open|read)|failed to encode|if encoded as")


@dataclass(frozen=True, slots=True)
class Scratch:
    """The directory, and a git that uses it."""

    directory: Path
    git: Git

    def commit(
        self, header: bytes, changes: Iterable["Change"], *, unless: str | None = None
    ) -> str:
        """Create a commit of ``header`` (author to ``from``) and changes; return its id.

        Deletions must come first: a file may become a folder. If the commit ``unless`` has the
        same tree, return it instead.
        """
        git = self.git.configured(fastimport__unpackLimit="0")
        command = ("fast-import", "--done", "--quiet", "--date-format=raw")
        with git.start(*command) as process, git.watched(process):
            assert process.stdin
            try:
                process.stdin.write(b"commit %s\nmark :1\n%s" % (_REF, header))
                for change in changes:
                    change.write(process.stdin)
                process.stdin.write(b"\nget-mark :1\n")
                if unless:
                    process.stdin.write(b'ls :1 ""\nls %s ""\n' % unless.encode())
                process.stdin.write(b"done\n")
            except BrokenPipeError:
                pass  # git's error output, read below, has the reason
            output, _ = git.collect(process)
        commit, *trees = output.splitlines()
        return unless if unless and trees[0] == trees[1] else commit.decode()

    def keep_commit(self, text: bytes, oid: str) -> None:
        """Store a commit unchanged. git hash-object refuses commits with old format errors."""
        folder = self.directory / "objects" / oid[:2]
        folder.mkdir(exist_ok=True)
        (folder / oid[2:]).write_bytes(zlib.compress(b"commit %d\0" % len(text) + text))

    def blobs(self, scan: Scan, paths: Iterable[bytes]) -> dict[bytes, bytes]:
        """Store files with git's end-of-line rules; return path -> blob id. No filter is started.

        ``paths`` are relative to the scan's root. A file that git cannot store is omitted.
        """
        names = list(paths)
        if not names:
            return {}
        # Without the user's objects: git would update the mtime of those that exist there.
        git = replace(self.ruled(scan), objects=())
        listed = b"".join(quoted(path) + b"\n" for path in names)
        try:
            ids = git.run("hash-object", "-w", "--stdin-paths", stdin=listed).split()
        except TookTooLong:
            raise
        except GitError as error:
            if not _ONE_OF_MANY.search(error.problem):
                raise
            # One bad file fails the whole batch: halve it until the bad files are isolated.
            half = len(names) // 2
            return self.blobs(scan, names[:half]) | self.blobs(scan, names[half:]) if half else {}
        return dict(zip(names, ids, strict=True))

    def attributes(
        self, scan: Scan, names: Iterable[str], paths: Iterable[bytes]
    ) -> list[tuple[bytes, bytes, bytes]]:
        """Return (path, attribute, value) for each path of the scan's working tree."""
        listed = b"".join(path + b"\0" for path in paths)
        if not listed:
            return []
        answer = self.ruled(scan).run("check-attr", "-z", "--stdin", *names, stdin=listed)
        parts = answer.split(b"\0")[:-1]
        return list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))

    def ruled(self, scan: Scan) -> Git:
        """Return a git with the end-of-line rules of the user's repository, without its filters."""
        attributes = scan.repository.common_dir / "info" / "attributes"
        if attributes.exists():
            (self.directory / "info").mkdir(exist_ok=True)
            shutil.copyfile(attributes, self.directory / "info" / "attributes")
        rules = {"core.attributesFile": str(default_attributes_file())} | scan.conversion()
        root = scan.repository.root
        return replace(self.git, folder=root, work_tree=root, config=self.git.config | rules)


def header(date: int, parent: str | None) -> bytes:
    """Return the header of a snapshot's commit, equal for two captures of the same code."""
    who = b"JellyML <jellyml@localhost> %d +0000\n" % max(date, 0)
    message = b"JellyML snapshot\n"
    head = b"author %scommitter %sdata %d\n%s" % (who, who, len(message), message)
    return head + (b"from %s\n" % parent.encode() if parent else b"")


@contextmanager
def scratch(
    scan: Scan, *, objects: tuple[Path, ...] = (), near: Path | None = None
) -> Iterator[Scratch]:
    """Yield a scratch directory that reads the objects of every repository of ``scan``.

    It is created in the folder ``near``, by default in the system's temporary folder.
    """
    layers = [inner for _, inner in scan.layers() if not inner.plain]
    outer = scan.repository
    stores = [layer.repository.objects for layer in layers]
    if near is None:
        tempdirs.sweep()
    with tempdirs.folder(near) as directory:
        make_bare(directory, outer.object_format)
        git = Git(
            directory,
            directory=directory,
            objects=(*stores, *objects),
            config={"core.fsync": "none", "core.bigFileThreshold": "16m"},
            isolated=True,
            deadline=outer.deadline,
        )
        yield Scratch(directory, git)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a commit: a deletion (no mode), an existing object, or new bytes."""

    path: bytes
    mode: bytes | None = None
    oid: bytes | None = None
    content: bytes | Path | None = None

    def write(self, stream: IO[bytes]) -> None:
        name = quoted(self.path)
        if self.mode is None:
            stream.write(b"D %s\n" % name)
        elif self.oid is not None:
            stream.write(b"M %s %s %s\n" % (self.mode, self.oid, name))
        else:
            stream.write(b"M %s inline %s\n" % (self.mode, name))
            _data(stream, self.content)


def _data(stream: IO[bytes], content: bytes | Path | None) -> None:
    if not isinstance(content, Path):
        stream.write(b"data %d\n%s\n" % (len(content or b""), content or b""))
        return
    with content.open("rb") as file:
        left = os.fstat(file.fileno()).st_size
        stream.write(b"data %d\n" % left)
        while left and (block := file.read(min(left, _BLOCK))):
            stream.write(block)
            left -= len(block)
        if left:
            raise ChangedMeanwhile(f"{content} became shorter while it was read.", "try again.")
        stream.write(b"\n")


def bytes_on_disk(root: Path, path: bytes, entry: Entry, *, links: bool = True) -> bytes | Path:
    """Return a path's bytes, or its Path if it is over 8 MiB.

    With ``links`` false a regular file may represent a link. Raise OSError if it cannot be
    read, ChangedMeanwhile if its type has changed.
    """
    info = status(root, path)
    full_path = os.fsencode(root) + b"/" + path
    if stat.S_ISLNK(info.st_mode) and entry.mode == SYMLINK:
        return os.readlink(full_path)  # noqa: PTH115 (a Path would be normalised)
    if not stat.S_ISREG(info.st_mode) or (links and entry.mode == SYMLINK):
        raise ChangedMeanwhile(f"{at(root, path)} changed while it was read.", "try again.")
    with open(full_path, "rb", buffering=0, opener=atomic.no_follow) as file:
        if os.fstat(file.fileno()).st_size > 8 * _BLOCK:
            return at(root, path)
        return file.readall()
