"""The states of a repository that faults happen in, as a table; every one gets the same checks.

``Cases`` makes a target's commands: load, what a user does then, undo, redo, restore, prune, and
the recovery of a load and of an undo that were killed.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import fingerprint
import jellyml
from conftest import Folder
from faults import Bench, Fault, Point
from jellyml.workspace.operation_log import Journal
from workspaces import Case, Seen, copied, differing, removed, rich, seen

Build = Callable[[Folder, Path], None]


def dirty(folder: Folder, model: Path) -> None:
    """Staged and not, untracked, private, ignored, and an ignored file in the way."""
    folder.git("init", "-q", "-b", "main")
    _committed(folder, model)
    _touched(folder)


def _committed(folder: Folder, model: Path) -> None:
    """Two commits, and a model with the code that lay there between them, in no commit."""
    folder.write("train.py", "print('one')\n")
    folder.write("lib/net.py", "width = 8\n")
    folder.write("lib/deep/only.py", "alone in its folder\n")
    folder.write("same.py", "never touched\n")
    folder.write("staged.py", "as committed\n")
    folder.commit("first")
    folder.write("train.py", "print('loaded')\n")
    folder.write("cache/a.bin", "part of the code then\n")
    folder.write("added/by/load.py", "new\n")
    (folder.path / "lib" / "deep" / "only.py").unlink()
    model.write_bytes(jellyml.create_snapshot(folder.path, strict=True).filling)
    folder.git("reset", "-q", "--hard")
    folder.git("clean", "-fdq")
    folder.write(".gitignore", "*.log\ncache/\n")
    folder.write("train.py", "print('two')\n")
    folder.commit("second")


def _touched(folder: Folder) -> None:
    folder.write("staged.py", "as staged\n")
    folder.git("add", "staged.py")
    folder.write("staged.py", "as it lies\n").chmod(0o640)
    folder.write("private.txt", "untracked\n").chmod(0o600)
    folder.write("noise.log", "ignored\n")
    folder.write("cache/a.bin", "ignored, and in the way\n")
    (folder.path / "hollow" / "deep").mkdir(parents=True)


def split_index(folder: Folder, model: Path) -> None:
    dirty(folder, model)
    folder.git("config", "core.splitIndex", "true")
    folder.git("update-index", "--split-index")
    folder.write("more.py", "staged after the split\n")
    folder.git("add", "more.py")


def sparse(folder: Folder, model: Path) -> None:
    dirty(folder, model)
    folder.git("commit", "-qam", "third")
    folder.git("sparse-checkout", "set", "--cone", "added")
    folder.write("private.txt", "untracked\n").chmod(0o600)
    assert not (folder.path / "lib").exists()


def flags(folder: Folder, model: Path) -> None:
    dirty(folder, model)
    folder.git("update-index", "--assume-unchanged", "same.py", "train.py")
    folder.write("train.py", "edited, and git is not to look\n")
    folder.git("update-index", "--skip-worktree", "lib/net.py", "lib/deep/only.py")
    folder.write("lib/net.py", "edited, and skipped\n")


def linked_worktree(folder: Folder, model: Path) -> None:
    main = Folder(folder.path.with_name("main"))
    main.path.mkdir()
    main.git("init", "-q", "-b", "main")
    _committed(main, model)
    folder.path.rmdir()
    main.git("worktree", "add", "-q", "-b", "side", str(folder.path))
    _touched(folder)


def nested(folder: Folder, model: Path) -> None:
    """A submodule with edits, and a repository that lies there untracked."""
    dirty(folder, model)
    library = Folder(folder.path.with_name("library"))
    library.path.mkdir()
    library.git("init", "-q", "-b", "main")
    library.write("core.py", "the library\n")
    library.commit("first")
    folder.git("submodule", "--quiet", "add", str(library.path), "vendor")
    folder.git("commit", "-qm", "with a submodule")
    folder.write("vendor/core.py", "edited in place\n")
    inner = Folder(folder.path / "inner")
    inner.path.mkdir()
    inner.git("init", "-q", "-b", "main")
    inner.write("own.py", "of another repository\n")
    inner.commit("first")
    inner.write("own.py", "and not committed\n")


def _two_sides(folder: Folder, model: Path) -> None:
    folder.git("init", "-q", "-b", "main")
    _committed(folder, model)
    folder.git("switch", "-q", "-c", "side", "HEAD~1")
    folder.write("train.py", "print('side')\n")
    folder.commit("on the side")
    folder.git("switch", "-q", "main")


def rebase(folder: Folder, model: Path) -> None:
    _two_sides(folder, model)
    folder.git("rebase", "side", check=False)
    assert (folder.path / ".git" / "rebase-merge").is_dir()
    _touched(folder)


def cherry_pick(folder: Folder, model: Path) -> None:
    _two_sides(folder, model)
    folder.git("cherry-pick", "side", check=False)
    assert (folder.path / ".git" / "CHERRY_PICK_HEAD").is_file()
    _touched(folder)


def bisect(folder: Folder, model: Path) -> None:
    folder.git("init", "-q", "-b", "main")
    _committed(folder, model)
    for number in range(3):
        folder.write("train.py", f"print({number})\n")
        folder.commit(f"try {number}")
    folder.git("bisect", "start", "HEAD", "HEAD~4")
    _touched(folder)


def no_folder(folder: Folder, model: Path) -> None:
    """``load --to`` a folder that is not there."""
    dirty(folder, model)
    shutil.rmtree(folder.path)


def no_repository(folder: Folder, model: Path) -> None:
    """A folder with files of the user's, one of which the code has too."""
    dirty(folder, model)
    shutil.rmtree(folder.path)
    folder.write("same.py", "never touched\n")
    folder.write("notes.txt", "the user's\n").chmod(0o600)


def commits_on_top(folder: Folder) -> None:
    folder.write("train.py", "print('on top')\n")
    folder.commit("on top of what was loaded")
    folder.write("added/by/load.py", "and edited\n")


def stash_and_gc(folder: Folder) -> None:
    folder.write("train.py", "print('to be stashed')\n")
    folder.git("stash", "-q")
    folder.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    folder.git("gc", "-q", "--prune=now")
    folder.write("lib/net.py", "width = 64\n")


def many_operations(folder: Folder) -> None:
    """So many that the next one puts the journal's old entries, and the store's packs, together."""
    journal = Journal(folder.path / ".git/jellyml/main/ops")
    for _ in range(80):
        journal.write(replace(journal.next("load"), status="rolled back"))
    store = Folder(folder.path / ".git/jellyml/store")
    for number in range(40):
        oid = store.git("hash-object", "-w", "--stdin", stdin=b"%d" % number)
        store.git("pack-objects", "-q", "objects/pack/pack", stdin=oid)
    store.git("prune-packed")
    folder.write("lib/net.py", "width = 64\n")


def nothing(_: Folder) -> None: ...


def code_alone(path: Path) -> Seen:
    """For a folder that load makes a repository: an unborn one that it leaves there is none."""
    git = Folder(path)
    there = (path / ".git").exists()
    head = git.git("rev-parse", "-q", "--verify", "HEAD", check=False) if there else b""
    return {
        "files": {
            name: entry
            for name, entry in (fingerprint.files(path) if path.exists() else {}).items()
            if not name.startswith(".jellyml-new")  # the next load there drops it
        },
        "times": {},
        "head": head,
        "index": b"",
        "entries": git.git("ls-files", "-s", "-z") if head else b"",
        "locks": [str(one) for one in (path / ".git").rglob("*.lock")],
    }


@dataclass(frozen=True)
class Target:
    """A state of a repository, what the user does after the load, and how to look at it."""

    name: str
    build: Build
    then: Callable[[Folder], None] = nothing
    look: Callable[[Path], Seen] = seen
    load: tuple[str, ...] = ("load", "../model.pth")


PLAIN = Target("plain", rich)
OTHERS = (
    Target("split index", split_index),
    Target("sparse checkout", sparse),
    Target("flags", flags),
    Target("linked worktree", linked_worktree),
    Target("submodule and nested repository", nested),
    Target("rebase", rebase),
    Target("cherry-pick", cherry_pick),
    Target("bisect", bisect),
    Target("new folder", no_folder, look=code_alone, load=("load", "model.pth", "--to", "work")),
    Target("no repository", no_repository, look=code_alone),
    Target("many operations", dirty, many_operations),
    Target("commits on top", dirty, commits_on_top),
    Target("stash and gc", dirty, stash_and_gc),
)


class Cases:
    """The commands of one target, each made when it is asked for."""

    def __init__(self, bench: Bench, target: Target) -> None:
        self.bench = bench
        self.target = target
        self.place = bench.folder / "arena"
        self.kept = bench.folder / "cases" / target.name
        self.made: dict[str, Case] = {}
        self.found: dict[str, list[Point]] = {}

    def of(self, verb: str) -> Case:
        """A verb's case: load, undo, redo, restore, ``prune`` with a limit, ``recovery of``."""
        if verb not in self.made:
            name, _, rest = verb.partition(" ")
            self.made[verb] = self._recovery(rest[3:]) if name == "recovery" else self._case(verb)
        return self.made[verb]

    def points(self, verb: str) -> list[Point]:
        """Every call of a clean run."""
        if verb not in self.found:
            case = self.of(verb)
            case.fresh()
            ended, self.found[verb] = self.bench.traced(case.folder, case.words)
            assert ended.status == 0, (verb, ended)
        return self.found[verb]

    def _case(self, verb: str) -> Case:
        self._lead_to(verb)
        kept = copied(self.place, self.kept / verb)
        work, look = self.place / "work", self.target.look
        before = look(work)
        words = self.target.load if verb == "load" else _WORDS.get(verb, (verb,))
        ended = self.bench.run(work if work.is_dir() else self.place, words)
        assert ended.status == 0, (self.target.name, verb, ended.said)
        after = look(work)
        if verb.startswith("prune"):
            return Case(kept, self.place, words, before, before, after, again=words)
        if verb == "undo" and self.target.then is nothing:
            assert not differing(self.of("load").before, after, exact=True)
        again = words if self.target.name == "no repository" and verb == "load" else ()
        stays = frozenset() if self.target.then is nothing else frozenset({"refs", "stash"})
        back = "redo" if verb == "undo" else "undo"
        return Case(kept, self.place, words, before, after, after, back, look, stays, again)

    def _lead_to(self, verb: str) -> None:
        """Make the workspace as it is before a verb."""
        if verb == "load":
            if self.place.exists():
                removed(self.place)
            work = self.place / "work"
            work.mkdir(parents=True)
            self.target.build(Folder(work), self.place / "model.pth")
            return
        former = self.of({"undo": "load", "redo": "undo"}.get(verb, "redo"))
        former.fresh()
        if not (verb.startswith("prune") or verb == "restore"):
            ended = self.bench.run(former.folder, former.words)
            assert ended.status == 0, (self.target.name, former.words, ended.said)
        if verb == "undo":
            self.target.then(Folder(former.work))

    def _recovery(self, verb: str) -> Case:
        """The next command after a kill in the middle: when all has moved, and is not done."""
        case = self.of(verb)
        last = max(one for one in self.points(verb) if one.process == 0 and one.call == _LAST)
        case.fresh()
        self.bench.run(case.folder, case.words, Fault(last, "KILL"))
        kept = copied(self.place, self.kept / f"half {verb}")
        before, look = case.before, case.look
        return Case(kept, self.place, ("history",), before, before, case.other, look=look)


_LAST = "syncfs"
_WORDS = {
    "restore": ("restore", "2"),
    "prune 0d": ("history", "--prune", "0d"),
    "prune --all": ("history", "--prune", "--all"),
}
