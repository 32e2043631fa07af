"""What a user does between a kill and the next command, and whether all of it is still there.

Every edit writes words that are found nowhere else, so that they can be looked for.
"""

import random
from pathlib import Path

from conftest import Folder
from jellyml.workspace import Workspace
from workspaces import Case, Seen

_NEW = ("new.py", "lib/new.py", "added/by/other.py", "added", "hollow", "cache/b.bin")


class Edits:
    """A few edits, chosen by a seed, of what lies there and of what does not."""

    def __init__(self, work: Path, seed: int) -> None:
        self.folder = Folder(work)
        self.chance = random.Random(seed)
        self.words: dict[str, bytes] = {}  # by path, as long as nothing else was done to it
        self.deleted: set[str] = set()

    def make(self) -> None:
        for number in range(self.chance.randint(1, 5)):
            lying = [one for one in self.folder.path.rglob("*") if ".git" not in one.parts]
            files = sorted(one for one in lying if one.is_file() and not one.is_symlink())
            act = self.chance.choice((self.edit, self.edit, self.create, self.delete, self.stage))
            act(self.chance.choice(files), number)

    def edit(self, path: Path, number: int) -> None:
        word = f"<typed after the kill, {number}>".encode()
        path.write_bytes(word + path.read_bytes())
        self._note(path, word)

    def create(self, _: Path, number: int) -> None:
        path = self.folder.path / self.chance.choice(_NEW)
        if not path.exists() and all(one.is_dir() or not one.exists() for one in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            word = f"<made after the kill, {number}>".encode()
            path.write_bytes(word)
            self._note(path, word)

    def delete(self, path: Path, _: int) -> None:
        path.unlink()
        self.words.pop(self._name(path), None)
        self.deleted.add(self._name(path))

    def stage(self, path: Path, _: int) -> None:
        """As git's own message says to: the lock of a killed command is taken away by hand."""
        (self.folder.path / ".git" / "index.lock").unlink(missing_ok=True)
        self.folder.git("add", "--force", "--", self._name(path), check=False)

    def _note(self, path: Path, word: bytes) -> None:
        self.words[self._name(path)] = word
        self.deleted.discard(self._name(path))

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder.path))

    def touched(self) -> set[str]:
        return self.words.keys() | self.deleted


def check(case: Case, edits: Edits) -> str:
    """The next command keeps the edits where they are or names them; what was before is held."""
    outcome = Workspace(case.work).repair()
    said = " ".join((*outcome.message, *outcome.warnings)) if outcome else ""
    for name, word in edits.words.items():
        path = case.work / name
        if path.is_file() and word in path.read_bytes():
            continue
        found = [one for one in case.work.rglob("*") if _holds(one, word)]
        assert found, f"{name} with {word!r} is gone; it said: {said}"
        assert any(str(one) in said for one in found), f"{found} is not named: {said}"
    now = case.look(case.work)
    _rest(case, edits, now)
    return "rolled back" if outcome else "nothing to do"


def _holds(path: Path, word: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and word in path.read_bytes()


def _rest(case: Case, edits: Edits, now: Seen) -> None:
    """What the user did not touch is as before, or all of it as after."""
    files, one, other = (_files(seen) for seen in (now, case.before, case.after))
    touched = edits.touched()
    related = {
        name
        for name in files.keys() | one.keys() | other.keys()
        if any(_near(name, edited) for edited in touched)
    }
    names = (one.keys() | other.keys() | files.keys()) - related
    ways = [
        [name for name in names if files.get(name) != wanted.get(name)] for wanted in (one, other)
    ]
    assert not min(ways, key=len), f"neither before ({ways[0]}) nor after ({ways[1]})"


def _near(name: str, edited: str) -> bool:
    """The path itself, or a folder that the edit lies in or has become."""
    return name == edited or edited.startswith(f"{name}/") or name.startswith(f"{edited}/")


def _files(seen: Seen) -> dict[str, object]:
    files = seen["files"]
    assert isinstance(files, dict)
    return files
