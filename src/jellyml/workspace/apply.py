"""Files moved into place, path by path: never torn, never missing while they are replaced.

New files lie staged beside, on the same file system, and are swapped with what is there. What
was displaced lies in the trash until the operation is done, and is looked at again then:
bytes that somebody typed meanwhile are not ours to throw away.
"""

import errno
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from jellyml import files, locks
from jellyml.code.scan import at, is_folder
from jellyml.errors import UnsafeToContinue, pasteable
from jellyml.workspace import disk, renames
from jellyml.workspace.disk import Modes, above, parents
from jellyml.workspace.journal import Move, Operation
from jellyml.workspace.slots import by_slot, free_slot, path_of, slot

# Why a folder stays: not empty, gone already, somebody's file, a mount point.
_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EBUSY)


@dataclass(frozen=True, slots=True)
class Around:
    """What goes with the moves: modes, empty folders, things set aside and brought back."""

    modes: Mapping[bytes, int] = field(default_factory=dict)  # what is to be chmodded
    make: tuple[bytes, ...] = ()  # folders to be there, empty
    unmake: tuple[bytes, ...] = ()  # empty folders to be gone
    folders: Modes | None = None  # modes of folders that we make
    aside: Mapping[str, str] = field(default_factory=dict)  # path -> place below the private folder
    returns: Mapping[str, str] = field(default_factory=dict)


class Mover:
    """Moves within one working tree; ``private`` is our folder for it."""

    def __init__(self, root: Path, private: Path, object_format: str) -> None:
        self.root = root
        self.private = private
        self.object_format = object_format
        self.stage = private / "stage"
        self.trash = private / "trash"
        self._real: set[bytes] = {b""}
        self._touched: set[Path] = set()
        self._made: dict[bytes, int] = {}  # folders, and the modes they are to have
        self.stayed: list[tuple[Path, Path]] = []  # what could not come back, and to where

    def prepare(self) -> None:
        """Empty folders to stage and to displace into; what lay there is gone through first."""
        for folder in (self.stage, self.trash):
            files.remove_tree(folder)
            folder.mkdir(mode=0o700, parents=True)

    def check_writable(self, moves: Iterable[Move]) -> None:
        """Raise UnsafeToContinue for a folder that cannot be changed, before anything is."""
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
        """Folders that nothing will be left in when ``gone`` is gone."""
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
        """The folder itself, or the first above it that is there."""
        places = (self._place(one) for one in (path, *parents(path)) if one)
        return next(filter(is_folder, places), self.root)

    def move(self, moves: Sequence[Move], around: Around, standing: Path | None = None) -> None:
        """Do all of it. ``standing`` is a folder that stays, empty (somebody's current one)."""
        # One that fails is taken back by the same mover: what it made then is none of ours.
        self._made.clear()
        self.stayed.clear()
        gone = [move.path for move in moves if move.after is None]
        for path in gone:
            self._displace(path)
        self._remove_empty(gone, around, standing)
        for name, place in around.aside.items():
            self.carry(self._place(os.fsencode(name)), self.private / place)
        for move in moves:
            if move.after is not None:
                self._put(move.path, around)
        for path in around.make:
            self._make_folder(path, around)
        for name, place in around.returns.items():
            self._bring_back(self.private / place, os.fsencode(name), around)
        self._chmod({**self._made, **around.modes})
        files.sync(self.root, self._touched)

    def _chmod(self, modes: Mapping[bytes, int]) -> None:
        # The deepest first: a folder may be closed by its mode.
        for path, mode in sorted(modes.items(), key=lambda one: -one[0].count(b"/")):
            with suppress(FileNotFoundError, NotADirectoryError):
                if self._lies_inside(path) and not self._place(path).is_symlink():
                    self._place(path).chmod(mode)

    def _lies_inside(self, path: bytes) -> bool:
        """No parent is a link: what it leads to is not of this working tree."""
        return not any(self._place(parent).is_symlink() for parent in parents(path))

    def _place(self, path: bytes) -> Path:
        return at(self.root, path)

    def _displace(self, path: bytes) -> None:
        """Take a path away, into the trash."""
        place = self._place(path)
        if not self._below_real_folders(path):
            return
        self._touched.add(place.parent)
        with suppress(FileNotFoundError):
            renames.rename(place, free_slot(self.trash, path))

    def _below_real_folders(self, path: bytes) -> bool:
        """False when a parent is missing or a link: then nothing of ours lies there."""
        chain = [parent for parent in parents(path) if parent not in self._real]
        for parent in reversed(chain):
            if not is_folder(self._place(parent)):
                return False
            self._real.add(parent)
        return True

    def _remove_empty(self, gone: Iterable[bytes], around: Around, standing: Path | None) -> None:
        """Folders that nothing is left in, deepest first."""
        emptied = {parent for path in gone for parent in parents(path)} | set(around.unmake)
        for folder in sorted(emptied - set(around.make), key=lambda one: -one.count(b"/")):
            place = self._place(folder)
            if standing is not None and (place == standing or place in standing.parents):
                continue
            if place.is_symlink() or not self._lies_inside(folder):
                continue
            try:
                place.rmdir()
            except OSError as error:
                if error.errno not in _STAYS:
                    raise
            else:
                self._real.discard(folder)
                self._touched.add(place.parent)

    def _make_folder(self, path: bytes, around: Around) -> None:
        for parent in (*reversed(list(parents(path))), path):
            if parent and parent not in self._real:
                place = self._place(parent)
                with suppress(FileExistsError):
                    place.mkdir()
                    self._touched.add(place.parent)
                    if around.folders:
                        # Until all that comes into it is there it must be ours to write.
                        mode = around.folders.folder(parent)
                        self._made[parent] = mode
                        place.chmod(mode | 0o700)
                if not is_folder(place):
                    raise UnsafeToContinue(f"{place} came into the way of a folder.")
                self._real.add(parent)

    def _put(self, path: bytes, around: Around) -> None:
        """Swap the staged file in; what was there goes to the trash."""
        self._make_folder(above(path), around)
        staged, place = slot(self.stage, path), self._place(path)
        self._touched.add(place.parent)
        if is_folder(place):
            _remove_hollow(place)
        while not (
            renames.put_new(staged, place)
            or renames.swap(staged, place, free_slot(self.trash, path))
        ):
            pass  # it came or went this very moment: another look

    def _bring_back(self, source: Path, path: bytes, around: Around) -> None:
        """What was set aside goes back to its place, or stays where somebody has taken that."""
        if not os.path.lexists(source):
            return
        try:
            self._make_folder(above(path), around)
        except (UnsafeToContinue, NotADirectoryError):
            self.stayed.append((source, self._place(path)))
            return
        self._merge(source, self._place(path))
        for parent in source.relative_to(self.private / "aside").parents:
            with suppress(OSError):
                (self.private / "aside" / parent).rmdir()

    def _merge(self, source: Path, target: Path) -> None:
        if is_folder(target) and not is_folder(source):
            with suppress(OSError):
                _remove_hollow(target)
        if not os.path.lexists(target):
            self.carry(source, target)
        elif is_folder(source) and is_folder(target):
            for piece in sorted(source.iterdir()):
                self._merge(piece, target / piece.name)
            with suppress(OSError):  # something stayed in it
                source.rmdir()
        elif disk.identity(source.parent, os.fsencode(source.name), self.object_format) == (
            disk.identity(target.parent, os.fsencode(target.name), self.object_format)
        ):
            source.unlink()  # a file that the state holds too
        else:
            self.stayed.append((source, target))

    def carry(self, source: Path, target: Path) -> None:
        """Rename something that is not ours, whole, to where nothing lies."""
        if not os.path.lexists(source):
            return
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        renames.carry(source, target)
        self._touched.update((source.parent, target.parent))

    def rescue(self, operation: Operation, where: Path) -> list[Path]:
        """Keep what lies in trash or stage and is none of the operation's; name it."""
        known = operation.known
        saved: list[Path] = []
        slots: dict[str, bytes] = {}
        for folder in (self.trash, self.stage):
            for name in files_below(folder):
                one = disk.identity(folder, os.fsencode(name), self.object_format)
                if one is None or (one[1].decode() in known and not _is_written(folder / name)):
                    continue
                slots = slots or by_slot(move.path for move in operation.moves)
                target = _free_place(where, path_of(name, slots))
                renames.rename(folder / name, target)
                saved.append(target)
        return saved

    def sweep(self) -> None:
        """The operation is done: drop what was displaced."""
        files.remove_tree(self.stage)
        files.remove_tree(self.trash)


def _is_written(path: Path) -> bool:
    """An open handle goes on writing to what was displaced: a log, an editor's file."""
    return not path.is_symlink() and locks.is_written(path)


def _remove_hollow(folder: Path) -> None:
    """Folders in which only folders lie: the state holds them. OSError: something came in."""
    for parent, _, _ in os.walk(folder, topdown=False):
        Path(parent).rmdir()


def _free_place(folder: Path, path: bytes) -> Path:
    """A place below ``folder`` that tells the path and that nothing has taken yet."""
    for number in itertools.count():
        place = at(folder / str(number) if number else folder, path)
        with suppress(FileExistsError, NotADirectoryError):
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not os.path.lexists(place):
                return place
    raise AssertionError("there is always one more number")


def files_below(folder: Path) -> Iterator[Path]:
    """Files and links, from the folder."""
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in (*names, *links):
            yield Path(parent, name).relative_to(folder)
