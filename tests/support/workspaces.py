"""A command on a workspace: how that was, how it is afterwards, and nothing in between.

``rich`` is a workspace with a bit of everything.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import fingerprint
import jellyml
from conftest import Folder
from faults import Bench, Ended, Fault
from jellyml.errors import JellyError, NotARepository
from jellyml.fs import atomic
from jellyml.workspace import Workspace

Seen = dict[str, object]


def rich(folder: Folder, model: Path) -> None:
    """In the middle of a merge: staged parts, conflict stages, modes, odd names, things ignored.

    ``model`` gets the code of an earlier state: without the ignore rules, and with a file where
    an ignored one lies now.
    """
    folder.git("init", "-q", "-b", "main")
    folder.write("train.py", "print('one')\n")
    folder.write("lib/net.py", "width = 8\n")
    folder.write("lib/deep/only.py", "alone in its folder\n")
    folder.write("same.py", "never touched\n")
    folder.write("run.sh", "#!/bin/sh\n", executable=True)
    (folder.path / "link").symlink_to("lib")
    _large_file(folder, b"the first weights\n")
    folder.commit("first")
    folder.git("branch", "-q", "side")
    _snapshot(folder, model)
    folder.write(".gitignore", "*.log\ncache/\n")
    folder.write("train.py", "print('main')\n")
    _large_file(folder, b"the second weights\n")
    folder.write("staged.py", "as committed\n")
    folder.commit("second")
    folder.git("switch", "-q", "side")
    folder.write("train.py", "print('side')\n")
    folder.commit("third")
    folder.git("switch", "-q", "main")
    folder.write("lib/net.py", "width = 32\n")
    folder.git("stash", "-q")
    folder.git("merge", "-q", "side", check=False)
    assert (folder.path / ".git" / "MERGE_HEAD").exists()
    folder.write("staged.py", "as staged\n")
    folder.git("add", "staged.py")
    folder.write("staged.py", "as it lies\n").chmod(0o640)
    folder.write("intended.py", "meant to be added\n")
    folder.git("add", "-N", "intended.py")
    folder.write("private.txt", "untracked\n").chmod(0o600)
    folder.write("noise.log", "ignored\n")
    folder.write("cache/a.bin", "ignored, and in the way\n")
    folder.write("new\nline \udcff.py", "an odd name\n")
    (folder.path / "hollow" / "deep").mkdir(parents=True)
    (folder.path / "hollow").chmod(0o750)
    (folder.path / "link").unlink()
    (folder.path / "link").symlink_to("nowhere")


_CLEAN = """#!/bin/sh
# What git-lfs puts into the index in place of a large file.
copy=$(mktemp); cat > "$copy"
printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize %s\\n' \\
  "$(sha256sum < "$copy" | cut -d' ' -f1)" "$(($(wc -c < "$copy")))"
rm "$copy"
"""
_SMUDGE = """#!/bin/sh
oid=$(sed -n 's/^oid sha256://p')
cat ".git/lfs/objects/$(echo "$oid" | cut -c1-2)/$(echo "$oid" | cut -c3-4)/$oid"
"""


def _large_file(folder: Folder, content: bytes) -> None:
    """A file that git holds as a pointer and LFS's own store as it is."""
    folder.write(".git/clean.sh", _CLEAN)
    folder.write(".git/smudge.sh", _SMUDGE)
    folder.git("config", "filter.lfs.clean", "sh .git/clean.sh")
    folder.git("config", "filter.lfs.smudge", "sh .git/smudge.sh")
    folder.write(".gitattributes", "*.weights filter=lfs -text\n")
    folder.write("big.weights", content)
    oid = hashlib.sha256(content).hexdigest()
    folder.write(f".git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}", content)


def _snapshot(folder: Folder, model: Path) -> None:
    """The code of a state that comes from no commit; then everything as before."""
    folder.write("train.py", "print('loaded')\n")
    folder.write("cache/a.bin", "part of the code then\n")
    folder.write("added/by/load.py", "new\n")
    folder.write("hollow", "a file where a folder will be\n")
    (folder.path / "lib" / "deep" / "only.py").unlink()
    snapshot = jellyml.create_snapshot(folder.path, strict=True)
    model.write_bytes(snapshot.filling)
    folder.git("reset", "-q", "--hard")
    folder.git("clean", "-fdq")


def seen(path: Path) -> Seen:
    """Everything that can be compared; the index by its bytes and by its meaning."""
    folder = Folder(path)
    found = fingerprint.workspace(folder)
    found["times"] = _times(path)
    found["entries"] = folder.git("ls-files", "-s", "-v", "-z")
    found["status"] = folder.git("--no-optional-locks", "status", "--porcelain=v2", "-z")
    return found


def _times(path: Path) -> dict[str, int]:
    entries = fingerprint.files(path)
    return {
        name: (path / name).lstat().st_mtime_ns
        for name, entry in entries.items()
        if isinstance(entry, tuple) and entry[0] in ("file", "link")
    }


@dataclass(frozen=True)
class Case:
    """A command on a workspace: how that was, and how it is when the command has run.

    ``kept`` holds the folder ``work`` and whatever belongs to it; a trial takes place in a copy
    of it, always at the same place: a linked worktree knows where it lies.
    """

    kept: Path
    place: Path
    words: tuple[str, ...]
    before: Seen
    after: Seen
    other: Seen  # with ``before`` it tells what does not change, and so keeps its times
    back: str = ""  # the verb that leads from ``after`` to ``before``
    look: Callable[[Path], Seen] = seen
    stays: frozenset[str] = frozenset()  # what that verb does not bring back: a new branch
    again: tuple[str, ...] = ()  # a command that then has to succeed

    @property
    def work(self) -> Path:
        return self.place / "work"

    @property
    def folder(self) -> Path:
        """Where the command is given."""
        return self.work if self.work.is_dir() else self.place

    def fresh(self) -> None:
        copied(self.kept, self.place)

    def trial(self, bench: Bench, fault: Fault) -> str:
        """Let one fault happen. Returns where it led to, raises AssertionError where it must not.

        ``missed``: the run took another way, and the call was not made.
        """
        self.fresh()
        ended = bench.run(self.folder, self.words, fault)
        if ended.status == -9:
            assert fault.what.startswith("KILL"), ended
        elif fault.kills_jellyml:
            return "missed"
        else:
            self._has_answered(ended)
        next_command(self.work)
        verdict = self.verdict()
        assert ended.status or verdict == "after", ended.said
        litter = leftovers(self.work)
        assert not litter, litter
        if self.back and verdict == "after":
            getattr(Workspace(self.work), self.back)()
            differs = differing(self.before, self.look(self.work), exact=True, but=self.stays)
            assert not differs, f"not gone back to: {differs}"
        if self.again and (verdict == "before" or self.before is self.after):
            ended = bench.run(self.folder, self.again)
            assert ended.status == 0, f"and then {self.again}: {ended.said}"
            assert self.verdict() == "after"
            assert not leftovers(self.work)
        return verdict

    def _has_answered(self, ended: Ended) -> None:
        """The command lived: it has done its work, or said why not and left all as it was."""
        assert ended.status in (0, 1, 3), ended
        assert "Traceback" not in ended.said, ended.said
        if ended.status:
            assert "Error: " in ended.said, ended.said
            assert "mistake of its own" not in ended.said, ended.said
        if "taking it back failed" not in ended.said and self.before is not self.after:
            assert self.verdict(at_once=True) == ("before" if ended.status else "after")

    def verdict(self, *, at_once: bool = False) -> str:
        """``before`` or ``after``; anything else is an AssertionError that says what differs.

        ``at_once`` allows litter in our own folder, which the next command clears.
        """
        now = self.look(self.work)
        if at_once:
            now["locks"] = [str(path) for path in (self.work / ".git").glob("*.lock")]
        steady = _steady(self.before, self.other)
        moved = [name for name in steady if _of(now, "times").get(name) != steady[name]]
        assert not moved, f"written although nothing changed: {moved}"
        if not differing(self.before, now, exact=True):
            return "before" if self.before is not self.after else "after"
        differs = differing(self.after, now, exact=False)
        assert not differs, (
            f"neither before ({differing(self.before, now, exact=True)})\nnor after ({differs})"
        )
        return "after"


def next_command(work: Path) -> None:
    """Whatever is begun next repairs; a folder in which no repository was made yet needs none."""
    with suppress(NotARepository):
        if work.is_dir():
            Workspace(work).history()


def _of(one: Seen, name: str) -> dict[str, object]:
    value = one[name]
    assert isinstance(value, dict)
    return value


def _steady(before: Seen, after: Seen) -> Mapping[str, object]:
    """The times of what is the same before and after."""
    one, other = _of(before, "files"), _of(after, "files")
    return {
        name: when
        for name, when in _of(before, "times").items()
        if name in one and one[name] == other.get(name)
    }


def differing(
    one: Seen, other: Seen, *, exact: bool, but: frozenset[str] = frozenset()
) -> list[str]:
    """What differs, in words; when not ``exact`` the index counts by its meaning."""
    said = []
    for name in (one.keys() | other.keys()) - but:
        if name == "times" or (name == "index" and not exact):
            continue
        left, right = one[name], other[name]
        if left != right and isinstance(left, dict) and isinstance(right, dict):
            both = left.keys() | right.keys()
            rows = [key for key in both if left.get(key) != right.get(key)]
            said += [f"{name}[{key!r}]: {left.get(key)!r} / {right.get(key)!r}" for key in rows]
        elif left != right:
            said.append(f"{name}: {left!r} / {right!r}")
    return said


def copied(source: Path, place: Path) -> Path:
    """A copy to the byte, times included."""
    if place.exists():
        removed(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(source), str(place)], check=True)
    return place


def removed(place: Path) -> None:
    for parent, folders, _ in os.walk(place):
        for name in folders:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(place)


def leftovers(place: Path) -> list[str]:
    """What should not lie in our own folder when nothing is under way."""
    try:
        private = Workspace(place).folder.parent
    except JellyError:
        return []
    base = private.parents[private.parts[::-1].index("jellyml") - 1]
    found = [*base.parent.glob("jellyml-*"), *base.parent.rglob("*.lock")]
    found += base.parent.rglob(f"{atomic.BESIDE}*")
    if private.is_dir():
        known = ("token", "ops", "aside", "rescue")
        found += [path for path in private.iterdir() if path.name not in known]
        found += (private / "ops").glob(".*")
    return [str(path) for path in found]
