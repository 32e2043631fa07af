"""Read the code in a quarantine without running it: its files, and its changes to its base."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Literal, TypeAlias

from jellyml.quarantine.quarantine import VerifiedCode
from jellyml.quarantine.tree_check import takes_too_much
from jellyml.repo.git import Git

_CHUNK = 1 << 16
_LONGEST_ROW = 8192  # a path takes half of that at most, which the quarantine has checked
_OURS = re.compile(rb"^author [^\n]*<jellyml@localhost>", re.MULTILINE)
_OURS_1_0 = re.compile(rb"\n\njellyml_snapshot_at_")
_PARENT = re.compile(rb"^parent ([0-9a-f]{40,64})$", re.MULTILINE)

# No attribute, configuration or variable can change the output of this diff.
DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames")

FileKind: TypeAlias = Literal["file", "program", "symlink", "submodule"]
_KINDS: dict[str, FileKind] = {
    "100644": "file",
    "100664": "file",
    "100755": "program",
    "120000": "symlink",
    "160000": "submodule",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the code. ``size`` is in bytes; a submodule has only a commit."""

    path: str  # bytes that are not UTF-8 appear as \udc80 to \udcff
    kind: FileKind
    size: int
    oid: str


@dataclass(frozen=True, slots=True)
class Inside:
    """A verified bundle, readable while the quarantine exists."""

    incoming: VerifiedCode

    @property
    def git(self) -> Git:
        """Return git for untrusted objects: with limits, without user configuration."""
        return replace(self.incoming.git, hold=self.incoming.limits.hold)

    def files(self) -> Iterator[File]:
        """Yield every file, in git's order."""
        with self._answering("ls-tree", "-r", "-l", "-z", "--full-tree", self._tree) as stdout:
            for row in _rows(stdout):
                head, _, path = row.partition(b"\t")
                mode, _, oid, size = head.decode().split()
                count = 0 if size == "-" else int(size)
                yield File(os.fsdecode(path), _KINDS[mode], count, oid)

    def earlier(self) -> Iterator[File]:
        """Yield history files that the tip lacks: each content once, with one of its paths."""
        current = {file.oid for file in self.files()}
        words = ("rev-list", "--objects", "--filter=object:type=blob", "--filter-provided-objects")
        with self._answering(*words, self.incoming.commit) as stdout:
            rows = (row.removesuffix(b"\n").partition(b" ") for row in stdout)
            paths = {oid.decode(): path for oid, _, path in rows if oid.decode() not in current}
        listed = "".join(f"{oid}\n" for oid in paths).encode()
        sizes = self.git.run("cat-file", "--batch-check=%(objectsize)", stdin=listed).split()
        for (oid, path), size in zip(paths.items(), sizes, strict=True):
            yield File(os.fsdecode(path), "file", int(size), oid)

    def earlier_names(self) -> Iterator[str]:
        """Yield the path of every file and folder of the history, from each folder's own object."""
        words = ("rev-list", "--objects", "--filter=object:type=tree", "--filter-provided-objects")
        with self._answering(*words, self.incoming.commit) as stdout:
            rows = (row.removesuffix(b"\n").partition(b" ") for row in stdout)
            folders = [(oid.decode(), path) for oid, _, path in rows]
        contents = self.git.read_objects(oid for oid, _ in folders)
        for (oid, folder), content in zip(folders, contents, strict=True):
            for name in _names(content, len(oid) // 2):
                yield os.fsdecode(folder + b"/" + name if folder else name)

    def commits(self, *words: str) -> Iterator[bytes]:
        """Yield what a command prints of every commit of the history, in pieces of 64 KiB."""
        with self._answering(*words, self.incoming.commit) as stdout:
            while piece := stdout.read(_CHUNK):
                yield piece

    def contents(self, files: Iterable[File]) -> Iterator[tuple[File, bytes]]:
        """Yield files with their content, each whole in memory, from a single process."""
        requested = list(files)
        return zip(requested, self.git.read_objects(file.oid for file in requested), strict=True)

    def content(self, file: File) -> Iterator[bytes]:
        """Yield the content of a file in pieces of 64 KiB; for a link, its target."""
        with self._answering("cat-file", "blob", file.oid) as stdout:
            while piece := stdout.read(_CHUNK):
                yield piece

    def commit_text(self) -> bytes:
        (text,) = self.git.read_objects([self.incoming.commit])
        return text

    def base(self) -> str | None:
        """Return the tree or commit on which the snapshot was made.

        Returns the snapshot's own commit if nothing had been changed, None if the base was cut off.
        """
        text = self.commit_text()
        if not _OURS.search(text.partition(b"\n\n")[0]) and not _OURS_1_0.search(text):
            return self.incoming.commit
        parent = _PARENT.search(text.partition(b"\n\n")[0])
        return parent[1].decode() if parent else None

    def empty_tree(self) -> str:
        """Return the id of the empty tree, which every git knows."""
        return self.incoming.git.run("hash-object", "-t", "tree", "--stdin").decode().strip()

    def difference(self, base: str) -> Iterator[bytes]:
        """Yield the patch from ``base`` to the code, as git prints it."""
        with self._answering(*DIFF, base, self.incoming.commit) as stdout:
            while piece := stdout.read(_CHUNK):
                yield piece

    @property
    def _tree(self) -> str:
        return self.incoming.tree

    @contextmanager
    def _answering(self, *words: str) -> Iterator[IO[bytes]]:
        """Yield the output of a command. Raises BadSnapshot if it exceeded its limits."""
        with answering(self.git, *words) as stdout:
            yield stdout


@contextmanager
def answering(git: Git, *words: str) -> Iterator[IO[bytes]]:
    """Yield git's output on untrusted objects. Raises BadSnapshot if it exceeded its limits."""
    with git.start(*words) as process:
        if process.stdin:
            process.stdin.close()
        assert process.stdout
        yield process.stdout
        if not process.stdout.read(1) and process.wait():
            raise takes_too_much()


def _names(tree: bytes, size: int) -> Iterator[bytes]:
    """Yield the names in a tree object; ``size`` is the number of bytes of an id."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        yield tree[tree.index(b" ", at) + 1 : end]
        at = end + 1 + size


def _rows(stdout: IO[bytes]) -> Iterator[bytes]:
    """Yield the NUL-terminated rows of a stream."""
    rest = b""
    while piece := stdout.read(_CHUNK):
        *rows, rest = (rest + piece).split(b"\0")
        yield from rows
        if len(rest) > _LONGEST_ROW:
            raise takes_too_much()
