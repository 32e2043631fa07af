"""A throw-away git directory: it sees the user's objects and leaves them as they are.

Trees, commits and packs are made here. One ``fast-import`` turns an overlay into a commit,
one ``pack-objects`` turns a commit into a pack; the user's own git directory is read through
alternates and stays identical to the byte.
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
from jellyml.fs import tempdirs
from jellyml.repo.git import Git, make_bare, quoted
from jellyml.repo.paths import at, status
from jellyml.working_tree.attributes import default_attributes_file
from jellyml.working_tree.scan import SYMLINK, Found, Scan


class ChangedMeanwhile(GitError):
    """A file changed while it was read; the next look finds it as it is then."""


_BLOCK = 1 << 20
# Not blocking: what was a file may have become a pipe.
_READ = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_REF = b"refs/heads/scratch"
# What git says of a file that is gone, or not in the encoding it is said to be in.
_ONE_OF_MANY = re.compile(r"could not open|unable to (?:open|read)|failed to encode|if encoded as")


@dataclass(frozen=True, slots=True)
class Scratch:
    """The directory and the git that works in it."""

    directory: Path
    git: Git

    def commit(
        self, header: bytes, changes: Iterable["Change"], *, unless: str | None = None
    ) -> str:
        """Make one commit of ``header`` (author to ``from``) and changes; return its id.

        Deletions must come first: a file may become a folder. ``unless`` is a commit that is
        returned instead when it has the same tree.
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
                pass  # its own words, read below, say why it went
            output, _ = git.collect(process)
        made, *trees = output.splitlines()
        return unless if unless and trees[0] == trees[1] else made.decode()

    def keep_commit(self, text: bytes, oid: str) -> None:
        """Store a commit's text as it is. git hash-object would refuse old blemishes."""
        folder = self.directory / "objects" / oid[:2]
        folder.mkdir(exist_ok=True)
        (folder / oid[2:]).write_bytes(zlib.compress(b"commit %d\0" % len(text) + text))

    def blobs(self, scan: Scan, paths: Iterable[bytes]) -> dict[bytes, bytes]:
        """Store files as git would, after its own end-of-line rules; no filter is ever started.

        ``paths`` are relative to the scan's root; the result maps each to its blob id. One
        that git cannot store is not in it.
        """
        names = list(paths)
        if not names:
            return {}
        # Without the user's objects: git would mark those as used that it finds there.
        git = replace(self.ruled(scan), objects=())
        listed = b"".join(quoted(path) + b"\n" for path in names)
        try:
            ids = git.run("hash-object", "-w", "--stdin-paths", stdin=listed).split()
        except TookTooLong:
            raise
        except GitError as error:
            if not _ONE_OF_MANY.search(error.problem):
                raise
            # It fails for all, and does not say for how many.
            half = len(names) // 2
            return self.blobs(scan, names[:half]) | self.blobs(scan, names[half:]) if half else {}
        return dict(zip(names, ids, strict=True))

    def attributes(
        self, scan: Scan, names: Iterable[str], paths: Iterable[bytes]
    ) -> list[tuple[bytes, bytes, bytes]]:
        """(path, attribute, value) for each path of the scan's working tree."""
        listed = b"".join(path + b"\0" for path in paths)
        if not listed:
            return []
        answer = self.ruled(scan).run("check-attr", "-z", "--stdin", *names, stdin=listed)
        parts = answer.split(b"\0")[:-1]
        return list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))

    def ruled(self, scan: Scan) -> Git:
        """Git under the end-of-line rules of the user's repository, and none of its filters."""
        attributes = scan.repository.common_dir / "info" / "attributes"
        if attributes.exists():
            (self.directory / "info").mkdir(exist_ok=True)
            shutil.copyfile(attributes, self.directory / "info" / "attributes")
        rules = {"core.attributesFile": str(default_attributes_file())} | scan.conversion()
        root = scan.repository.root
        return replace(self.git, folder=root, work_tree=root, config=self.git.config | rules)


def header(date: int, parent: str | None) -> bytes:
    """A commit of ours: nothing in it differs between two captures of the same code."""
    who = b"JellyML <jellyml@localhost> %d +0000\n" % max(date, 0)
    message = b"JellyML snapshot\n"
    head = b"author %scommitter %sdata %d\n%s" % (who, who, len(message), message)
    return head + (b"from %s\n" % parent.encode() if parent else b"")


@contextmanager
def scratch(
    scan: Scan, *, objects: tuple[Path, ...] = (), near: Path | None = None
) -> Iterator[Scratch]:
    """A scratch directory that sees the objects of every repository of ``scan``.

    ``near`` is the folder to make it in; the system's temporary one by default.
    """
    layers = [inner for _, inner in scan.layers() if not inner.plain]
    outer = scan.repository
    seen = [layer.repository.objects for layer in layers]
    if near is None:
        tempdirs.sweep()
    with tempdirs.folder(near) as directory:
        make_bare(directory, outer.object_format)
        git = Git(
            directory,
            directory=directory,
            objects=(*seen, *objects),
            config={"core.fsync": "none", "core.bigFileThreshold": "16m"},
            isolated=True,
            deadline=outer.deadline,
        )
        yield Scratch(directory, git)


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a commit: a deletion (no mode), an object that is there, or new bytes."""

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


def bytes_on_disk(root: Path, path: bytes, found: Found, *, links: bool = True) -> bytes | Path:
    """A path's content: its bytes, or for a large file the place to read them from.

    With ``links`` false a link may lie there as a file. Raises OSError where it cannot be
    read, ChangedMeanwhile where it is no longer what it was.
    """
    seen = status(root, path)
    place = os.fsencode(root) + b"/" + path
    if stat.S_ISLNK(seen.st_mode) and found.mode == SYMLINK:
        return os.readlink(place)  # noqa: PTH115 (a Path would be tidied up)
    if not stat.S_ISREG(seen.st_mode) or (links and found.mode == SYMLINK):
        raise ChangedMeanwhile(f"{at(root, path)} changed while it was looked at.", "try again.")
    with os.fdopen(os.open(place, _READ), "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size > 8 * _BLOCK:
            return at(root, path)
        return file.readall()
