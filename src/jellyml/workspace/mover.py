"""Move files into place, path by path; no file is incomplete, or missing while replaced.

Idea: new files are staged on the same file system and swapped with the old ones, which go to
the trash until the operation is done. Invariant: displaced bytes that are in no state were
written meanwhile by the user, and are rescued before the trash is emptied. Every path is
opened step by step, and no link is followed (``fs.directory``).
"""

import errno
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from jellyml.errors import UnsafeToContinue, pasteable
from jellyml.fs import atomic, locks
from jellyml.fs.directory import Directory, DirEntry, Tree
from jellyml.fs.move import carry, put_new, rename, swap
from jellyml.fs.paths import is_folder
from jellyml.repo.paths import above, at, parents
from jellyml.repo.repository import Repository
from jellyml.workspace import on_disk
from jellyml.workspace.on_disk import Modes
from jellyml.workspace.operation_log import Move, Operation
from jellyml.workspace.staging import by_slot, free_slot, path_of, slot

# Errors for which a folder stays: not empty, already removed, a file, a mount point.
_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EBUSY)


@dataclass(frozen=True, slots=True)
class SideEffects:
    """Changes that accompany the moves: modes, empty folders, and set-aside files."""

    modes: Mapping[bytes, int] = field(default_factory=dict)  # modes to set
    make: tuple[bytes, ...] = ()  # empty folders to create
    unmake: tuple[bytes, ...] = ()  # empty folders to remove
    folders: Modes | None = None  # modes of created folders
    aside: Mapping[str, str] = field(default_factory=dict)  # path -> place below the private folder
    returns: Mapping[str, str] = field(default_factory=dict)


class Mover:
    """Moves files in one working tree; ``private`` is JellyML's folder for it."""

    def __init__(self, repository: Repository, private: Path) -> None:
        self.root = repository.root
        self.private = private
        self.object_format = repository.object_format
        self.stage = private / "stage"
        self.trash = private / "trash"
        below = os.fsencode(private.relative_to(repository.common_dir))
        self._tree = Tree(self.root)
        self._mine = Tree(repository.common_dir, below, holds_git=True)
        self._touched: set[Path] = set()
        self._made: dict[bytes, int] = {}  # created folders and their final modes
        self.stayed: list[tuple[Path, Path]] = []  # (current path, path it could not return to)

    def prepare(self) -> None:
        """Create empty staging and trash folders. The caller has rescued their old content."""
        for folder in (self.stage, self.trash):
            atomic.remove_tree(folder)
            folder.mkdir(mode=0o700, parents=True)

    def check_writable(self, moves: Iterable[Move]) -> None:
        """Raise UnsafeToContinue for a folder that is not writable, before anything changes."""
        paths = {move.path: move.after is None for move in moves}
        gone = {path for path, is_gone in paths.items() if is_gone}
        changed = {above(path) for path in (*paths, *self._emptied(gone))}
        for folder in sorted({self._nearest_folder(path) for path in changed}):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise UnsafeToContinue(
                    f"The folder {folder} is not writable. Nothing was changed.",
                    f"chmod u+wx {pasteable(folder)}",
                )

    def _emptied(self, gone: set[bytes]) -> set[bytes]:
        """Return the folders that are empty after ``gone`` is removed."""
        emptied: set[bytes] = set()
        above_gone = {parent for path in gone for parent in parents(path)}
        for folder in sorted(above_gone, key=lambda one: -one.count(b"/")):
            with suppress(OSError):
                names = (os.fsencode(one.name) for one in self._place(folder).iterdir())
                below = [folder + b"/" + name for name in names]
                if all(path in gone or path in emptied for path in below):
                    emptied.add(folder)
        return emptied

    def _nearest_folder(self, path: bytes) -> Path:
        """Return the folder, or its nearest parent that exists."""
        places = (self._place(one) for one in (path, *parents(path)) if one)
        return next(filter(is_folder, places), self.root)

    def move(
        self, moves: Sequence[Move], effects: SideEffects, current_folder: Path | None = None
    ) -> None:
        """Carry out all changes. ``current_folder``, a current directory, is never removed."""
        # A rollback uses the same mover: its record must not include the failed attempt.
        self._made.clear()
        self.stayed.clear()
        self._forget()
        gone = [move.path for move in moves if move.after is None]
        for path in gone:
            self._displace(path)
        self._remove_empty(gone, effects, current_folder)
        for name, place in effects.aside.items():
            self.set_aside(os.fsencode(name), place)
        for move in moves:
            if move.after is not None:
                self._put(move.path, effects)
        for path in effects.make:
            self._make_folder(path, effects)
        for name, place in effects.returns.items():
            self._bring_back(os.fsencode(place), os.fsencode(name), effects)
        self._chmod({**self._made, **effects.modes})
        atomic.sync(self.root, self._touched)
        self._forget()

    def _forget(self) -> None:
        """Close cached folders, which may have been moved or removed."""
        self._tree.forget()
        self._mine.forget()

    def _chmod(self, modes: Mapping[bytes, int]) -> None:
        # Deepest first: the mode of a parent may deny access.
        for path, mode in sorted(modes.items(), key=lambda one: -one[0].count(b"/")):
            with suppress(FileNotFoundError, NotADirectoryError):
                self._tree.entry(path).chmod(mode)

    def _place(self, path: bytes) -> Path:
        return at(self.root, path)

    def _displace(self, path: bytes) -> None:
        """Move a path to the trash. Nothing happens below a link, or for a missing path."""
        with suppress(FileNotFoundError, NotADirectoryError):
            place = self._tree.entry(path)
            self._touched.add(place.directory.path)
            rename(place, self._free_in_trash(path))

    def _free_in_trash(self, path: bytes) -> DirEntry:
        return self._mine.folder(b"trash").entry(free_slot(self.trash, path).name)

    def _remove_empty(
        self, gone: Iterable[bytes], effects: SideEffects, current_folder: Path | None
    ) -> None:
        """Remove empty folders, deepest first."""
        emptied = {parent for path in gone for parent in parents(path)} | set(effects.unmake)
        for folder in sorted(emptied - set(effects.make), key=lambda one: -one.count(b"/")):
            place = self._place(folder)
            if current_folder is not None and (
                place == current_folder or place in current_folder.parents
            ):
                continue
            try:
                self._tree.entry(folder).remove_folder()
            except OSError as error:
                if error.errno not in _STAYS:
                    raise
            else:
                self._tree.forget()
                self._touched.add(place.parent)

    def _make_folder(self, path: bytes, effects: SideEffects) -> Directory:
        """Open the folder at a path, and create missing folders on the way."""
        directory = self._tree.folder(b"")
        try:
            return self._tree.folder(path)
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            raise UnsafeToContinue(
                f"{self._place(path)} appeared where a folder is needed."
            ) from None
        for folder in (*reversed(list(parents(path))), path):
            entry = directory.entry(os.fsdecode(folder.rpartition(b"/")[2]))
            with suppress(FileExistsError):
                entry.make_folder()
                self._touched.add(directory.path)
                if effects.folders:
                    # It must be writable until everything in it has been created.
                    mode = effects.folders.folder(folder)
                    self._made[folder] = mode
                    entry.chmod(mode | 0o700)
            try:
                directory = entry.enter()
            except NotADirectoryError:
                raise UnsafeToContinue(f"{entry.path} appeared where a folder is needed.") from None
        return directory

    def _entry(self, path: bytes, effects: SideEffects) -> DirEntry:
        """Return a path's entry in its folder, which is created if missing."""
        folder = self._make_folder(above(path), effects)
        return folder.entry(os.fsdecode(path.rpartition(b"/")[2]))

    def _put(self, path: bytes, effects: SideEffects) -> None:
        """Swap the staged file in; the old file goes to the trash.

        Idea: put the file at a free name, or exchange it with the existing one, and retry.
        Invariant: a file that appears or disappears meanwhile is never overwritten, only displaced.
        """
        place = self._entry(path, effects)
        staged = self._mine.folder(b"stage").entry(slot(self.stage, path).name)
        self._touched.add(place.directory.path)
        if place.is_folder():
            self._remove_hollow(place)
        while not (put_new(staged, place) or swap(staged, place, self._free_in_trash(path))):
            pass  # a file appeared or disappeared between the two calls: try again

    def _remove_hollow(self, entry: DirEntry) -> None:
        """Remove folders that contain only folders. OSError if a file has appeared.

        A state records them. Deepest first, each opened from the top: the depth is unlimited.
        """
        below = Tree(entry.enter(), holds_git=True)
        for parent in reversed([here for here, _, _ in atomic.walk(entry.path)]):
            inner = os.fsencode(Path(parent).relative_to(entry.path))
            (below.entry(inner) if inner != b"." else entry).remove_folder()
            below.forget()
        self._tree.forget()

    def _bring_back(self, source: bytes, path: bytes, effects: SideEffects) -> None:
        """Move a set-aside file back, or leave it if its path is taken."""
        try:
            aside = self._mine.entry(source)
            aside.status()
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            place = self._entry(path, effects)
        except (UnsafeToContinue, NotADirectoryError):
            self.stayed.append((aside.path, self._place(path)))
            return
        self._merge(aside, place)
        self._forget()
        for parent in parents(source):
            with suppress(OSError):
                self._mine.entry(parent).remove_folder()

    def _merge(self, source: DirEntry, target: DirEntry) -> None:
        if target.is_folder() and not source.is_folder():
            with suppress(OSError):
                self._remove_hollow(target)
        if not target.exists():
            self._carry(source, target)
        elif source.is_folder() and target.is_folder():
            here, there = source.enter(), target.enter()
            for name in here.names():
                self._merge(here.entry(name), there.entry(name))
            with suppress(OSError):  # something stayed in it
                source.remove_folder()
        elif self._identity(source) == self._identity(target):
            source.unlink()  # a file that the state contains too
        else:
            self.stayed.append((source.path, target.path))

    def _identity(self, entry: DirEntry) -> tuple[bytes, bytes] | None:
        name = os.fsencode(entry.name)
        return on_disk.identity(entry.directory.path, name, self.object_format)

    def set_aside(self, path: bytes, place: str) -> None:
        """Move what is at a path, whole, to a place below the private folder."""
        with suppress(FileNotFoundError, NotADirectoryError):
            source = self._tree.entry(path)
            source.status()
            target = self._mine_at(os.fsencode(place))
            self._carry(source, target)
            self._tree.forget()

    def _mine_at(self, path: bytes) -> DirEntry:
        """Return a place below the private folder, and create its folder if missing."""
        return self._mine.make_folder(above(path)).entry(os.fsdecode(path.rpartition(b"/")[2]))

    def _carry(self, source: DirEntry, target: DirEntry) -> None:
        carry(source, target)
        self._touched.update((source.directory.path, target.directory.path))

    def rescue(self, operation: Operation) -> list[Path]:
        """Save files in trash and stage that the operation did not write; return their paths."""
        known = operation.known
        saved: list[Path] = []
        slots: dict[str, bytes] = {}
        self._forget()
        for folder in (self.trash, self.stage):
            for name in files_below(folder):
                one = on_disk.identity(folder, os.fsencode(name), self.object_format)
                if one is None or (one[1].decode() in known and not _is_written(folder / name)):
                    continue
                slots = slots or by_slot(move.path for move in operation.moves)
                target = self._free_place(b"rescue/%08d" % operation.number, path_of(name, slots))
                rename(self._mine.entry(os.fsencode(Path(folder.name, name))), target)
                saved.append(target.path)
        return saved

    def _free_place(self, folder: bytes, path: bytes) -> DirEntry:
        """Return a free place below ``folder`` that shows the original path."""
        for number in itertools.count():
            place = b"%s/%d/%s" % (folder, number, path) if number else folder + b"/" + path
            with suppress(FileExistsError, NotADirectoryError):
                entry = self._mine_at(place)
                if not entry.exists():
                    return entry
        raise AssertionError("there is always one more number")

    def sweep(self) -> None:
        """Delete the staging and trash folders after the operation is done."""
        atomic.remove_tree(self.stage)
        atomic.remove_tree(self.trash)


def _is_written(path: Path) -> bool:
    """Return whether a process still writes to a displaced file: a log, an editor's file."""
    return not path.is_symlink() and locks.is_written(path)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield files and links, relative to the folder."""
    for parent, folders, names in atomic.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in (*names, *links):
            yield Path(parent, name).relative_to(folder)
