"""Check every entry of an untrusted tree: its name, its kind, and the total size.

Idea: read each distinct tree object once, then sum bottom-up. Invariant: no tree is expanded,
because 832 bytes of pack can name 10^10 files.
"""

import re
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Protocol

from jellyml.errors import BadSnapshot
from jellyml.repo.paths import check_name, folded, is_dot_git, shown

_RAISE = "if you trust its author, allow more with --max-unpacked."

# No file system accepts a longer path, or a longer symlink target.
_LONGEST = 4096
# Average bytes of an entry's path: writing the files holds all paths in memory.
_PATH_BYTES = 128
# As many ids as fit in the smallest pipe (4 KiB), because they are written before answers are read.
_ASKED_AT_ONCE = 60
_PIECE = 1 << 16
_FOLDS_NAMED = 100

# Modes as git writes them. Old versions wrote a leading zero, and 100664.
_KINDS = {b"40000": "folder", b"120000": "symlink", b"160000": "submodule"} | dict.fromkeys(
    (b"100644", b"100755", b"100664"), "file"
)
_RULES = b".gitattributes"


class Process(Protocol):
    """The part of a running git process that this module uses."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    def wait(self) -> int: ...

    def kill(self) -> None: ...


Start = Callable[..., AbstractContextManager[Process]]


@dataclass(frozen=True, slots=True)
class Most:
    """Limits on the code: bytes of files, and number of files and folders."""

    size: int
    entries: int


@dataclass(frozen=True, slots=True)
class Tip:
    """The contents of the newest commit of a bundle."""

    tree: str
    files: int  # regular files and symlinks
    entries: int
    size: int
    names_that_fold: tuple[str, ...]
    has_rules: bool  # attributes files exist; they affect how files are written


def check_tip(start: Start, commit: str, most: Most, scratch: Path) -> Tip:
    """Raise BadSnapshot unless every entry of the commit's tree is safe to write.

    ``start`` starts git where the commit is; ``scratch`` is a folder for temporary files.
    """
    command = ("cat-file", "--batch-check=%(objectsize)", "--buffer")
    # Sizes go to a file: no code reads a pipe while the folders are read.
    with tempfile.TemporaryFile(dir=scratch) as sizes, start(*command, stdout=sizes) as sizing:
        walk = _Walk(most, sizing)
        with start("cat-file", "--batch") as process:
            tree = _tree_of(process, commit)
            walk.read_folders(process, tree)
            _check_symlinks(process, walk.symlinks)
        walk.read_sizes(sizes)
    whole = walk.added_up(tree)
    _check_sums(whole, most)
    folding = tuple(sorted(walk.names_that_fold))
    return Tip(tree.hex(), whole.files, whole.entries, whole.size, folding, walk.has_rules)


def _objects(
    process: Process, ids: Iterable[bytes], kind: bytes
) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """Yield each id and the pieces of its object, from one ``git cat-file --batch``."""
    assert process.stdin
    assert process.stdout
    waiting = iter(ids)
    while batch := list(islice(waiting, _ASKED_AT_ONCE)):
        with suppress(OSError):  # it has exited, and will not answer
            process.stdin.write(b"".join(b"%s\n" % each.hex().encode() for each in batch))
            process.stdin.flush()
        for each in batch:
            answer = process.stdout.readline().split()
            if not answer:
                raise takes_too_much()
            if answer[1] != kind:
                raise BadSnapshot(
                    "The code in this checkpoint is not a bundle of commits: "
                    f"{each.hex()} should be a {kind.decode()}, and is {answer[1].decode()}."
                )
            pieces = _pieces(process.stdout, int(answer[2]))
            yield each, pieces
            deque(pieces, maxlen=0)  # skip unread pieces
            process.stdout.read(1)


def _pieces(stream: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        piece = stream.read(min(size, _PIECE))
        if not piece:
            raise takes_too_much()
        size -= len(piece)
        yield piece


@dataclass(slots=True)
class _Folder:
    """The sums of one tree object; once ``folders`` is empty, of everything below it too."""

    folders: tuple[tuple[bytes, int], ...] = ()  # id, length of the name
    files: int = 0
    entries: int = 0
    size: int = 0
    path_bytes: int = 0
    longest: int = 0

    def note(self, name: bytes) -> None:
        self.entries += 1
        self.path_bytes += len(name)
        self.longest = max(self.longest, len(name))

    def add(self, below: "_Folder", name_length: int) -> None:
        self.files += below.files
        self.entries += below.entries
        self.size += below.size
        self.path_bytes += below.path_bytes + below.entries * (name_length + 1)
        self.longest = max(self.longest, name_length + 1 + below.longest)


class _Siblings:
    """The names of one folder, compared as case-folding file systems do."""

    def __init__(self) -> None:
        self._names: set[bytes] = set()
        self._symlinks: set[bytes] = set()

    def folds(self, name: bytes, *, symlink: bool) -> bool:
        """Add a name; return True if it is equal to an earlier one after folding.

        Raises BadSnapshot if either is a symlink: writing to one path would follow the other.
        """
        key = folded(name)
        known = key in self._names
        if known and (symlink or key in self._symlinks):
            raise BadSnapshot(
                f"The code in this checkpoint holds {shown(name)} twice as some file systems "
                "read it, once as a symlink."
            )
        self._names.add(key)
        if symlink:
            self._symlinks.add(key)
        return known


@dataclass(slots=True)
class _Walk:
    """The sums of the distinct folders of a tree."""

    most: Most
    sizing: Process  # receives the ids of all files, folder by folder, and prints their sizes
    folders: dict[bytes, _Folder] = field(default_factory=dict)
    symlinks: set[bytes] = field(default_factory=set)
    names_that_fold: set[str] = field(default_factory=set)
    entries: int = 0
    has_rules: bool = False

    def read_folders(self, process: Process, tree: bytes) -> None:
        level = {tree}
        for _ in range(_LONGEST // 2):  # a path through more folders exceeds _LONGEST
            for each, pieces in _objects(process, level, b"tree"):
                self.folders[each] = self._read(_entries(pieces, len(tree)))
            level = {below for each in level for below, _ in self.folders[each].folders}
            level -= self.folders.keys()
            if not level:
                return
        raise _path_too_long()

    def _read(self, entries: Iterable[tuple[str, bytes, bytes]]) -> _Folder:
        folder, siblings = _Folder(), _Siblings()
        folders: list[tuple[bytes, int]] = []
        for kind, name, each in entries:
            check_name(name)
            self.has_rules = self.has_rules or name == _RULES
            self._note(name, folds=siblings.folds(name, symlink=kind == "symlink"))
            folder.note(name)
            if kind == "folder":
                folders.append((each, len(name)))
            elif kind != "submodule":
                folder.files += 1
                self._ask_for_size(each)
            if kind == "symlink":
                self.symlinks.add(each)
        folder.folders = tuple(folders)
        return folder

    def _ask_for_size(self, each: bytes) -> None:
        assert self.sizing.stdin
        try:
            self.sizing.stdin.write(b"%s\n" % each.hex().encode())
        except OSError:
            raise takes_too_much() from None  # it has exited, and will not answer

    def _note(self, name: bytes, *, folds: bool) -> None:
        self.entries += 1
        if self.entries > self.most.entries:
            raise _too_many(self.most)
        if folds and len(self.names_that_fold) < _FOLDS_NAMED:
            self.names_that_fold.add(name.decode(errors="surrogateescape"))

    def read_sizes(self, sizes: IO[bytes]) -> None:
        """Read the sizes after git has answered for the last file."""
        assert self.sizing.stdin
        with suppress(OSError):  # it has exited; its status gives the reason
            self.sizing.stdin.close()
        if self.sizing.wait():
            raise takes_too_much()
        sizes.seek(0)
        for folder in self.folders.values():
            folder.size = sum(map(int, islice(sizes, folder.files)))

    def added_up(self, tree: bytes) -> _Folder:
        """Return the sums below a folder; a folder that occurs several times counts each time."""
        stack = [tree]
        while stack:
            folder = self.folders[stack[-1]]
            first = [each for each, _ in folder.folders if self.folders[each].folders]
            if first:
                stack += first
                continue
            for each, name_length in folder.folders:
                folder.add(self.folders[each], name_length)
            folder.folders = ()
            stack.pop()
        return self.folders[tree]


def _tree_of(process: Process, commit: str) -> bytes:
    for _, pieces in _objects(process, [bytes.fromhex(commit)], b"commit"):
        first_line = next(pieces, b"").partition(b"\n")[0]  # "tree ", as --strict has checked
    return bytes.fromhex(first_line[5:].decode())


def _entries(pieces: Iterable[bytes], width: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield (kind, name, id) of each entry of a tree object."""
    entry = re.compile(rb"0*([0-7]{1,6}) ([^\0]*)\0(.{%d})" % width, re.DOTALL)
    rest = b""
    for piece in pieces:
        rest += piece
        end = 0
        while match := entry.match(rest, end):
            mode, name, each = match.groups()
            end = match.end()
            if mode not in _KINDS:
                raise BadSnapshot(
                    f"The code in this checkpoint holds {shown(name)}, which is neither a file "
                    "nor a folder, a symlink or a submodule."
                )
            yield _KINDS[mode], name, each
        rest = rest[end:]
        if len(rest) > _LONGEST + width:
            raise _path_too_long()
    if rest:
        raise BadSnapshot("The code in this checkpoint holds a folder that is damaged.")


def _check_symlinks(process: Process, symlinks: set[bytes]) -> None:
    """Reject targets inside .git. Any other target is allowed, because links are never followed."""
    for _, pieces in _objects(process, symlinks, b"blob"):
        target = next(pieces, b"")
        if not 0 < len(target) < _LONGEST or b"\0" in target:
            raise BadSnapshot("The code in this checkpoint holds a symlink without a valid target.")
        if any(map(is_dot_git, re.split(rb"[/\\]", target))):
            raise BadSnapshot(f"The code in this checkpoint links into .git: {shown(target)}.")


def _check_sums(whole: _Folder, most: Most) -> None:
    if whole.entries > most.entries:
        raise _too_many(most)
    if whole.longest > _LONGEST or whole.path_bytes > _LONGEST + _PATH_BYTES * most.entries:
        raise _path_too_long()
    if whole.size > most.size:
        raise BadSnapshot(
            f"The code in this checkpoint would take {whole.size:,} bytes, "
            f"more than the {most.size:,} allowed.",
            _RAISE,
        )


def _too_many(most: Most) -> BadSnapshot:
    problem = f"The code in this checkpoint holds more than {most.entries:,} files and folders."
    return BadSnapshot(problem, _RAISE)


def _path_too_long() -> BadSnapshot:
    return BadSnapshot("The code in this checkpoint has paths that are too long to be written.")


def takes_too_much() -> BadSnapshot:
    return BadSnapshot("The code in this checkpoint takes too much time or memory.", _RAISE)
