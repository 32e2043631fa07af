"""Repositories to measure on: the same bytes each time, of sizes that projects have.

Files are lines of code-like text, most of a few KB and some larger; one commit brings them,
later ones edit a few. Dirty means 20 edited and 20 untracked files, as in a day's work.
"""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

COMMITS = 300
EDITED = UNTRACKED = 20
_WORDS = (
    "self model data batch loss step train layer config tensor value index size path file name "
    "return for in if not None True False with open import from def class range float int str"
)
_DATE = 1_700_000_000


class Text:
    """Text like source code, drawn from one pool of lines."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.pool = [self._line() for _ in range(4000)]

    def _line(self) -> bytes:
        words = self.random.choices(_WORDS.split(), k=self.random.randint(2, 9))
        indent = b"    " * self.random.randint(0, 3)
        return indent + " ".join(words).encode() + b" = %d\n" % self.random.randrange(100)

    def file(self) -> bytes:
        """About 3.6 KB on average, one in a hundred above 20 KB; packed, a fourth of that."""
        lines = min(1 + int(self.random.lognormvariate(4.0, 1.0)), 2000)
        # Code repeats itself, else it would not pack as code does.
        some = self.random.choices(self.pool, k=1 + lines // 3)
        return b"".join(self.random.choices(some, k=lines))


def git(folder: Path, *words: str, stdin: bytes | None = None) -> bytes:
    return subprocess.run(
        ["git", *words], cwd=folder, input=stdin, check=True, stdout=subprocess.PIPE
    ).stdout


def create(folder: Path, files: int) -> None:
    """A repository of so many files and 300 commits in one pack, nothing changed."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    imported(folder, _history(files))
    git(folder, "gc", "-q")
    git(folder, "reset", "-q", "--hard")
    settle(folder)


def imported(folder: Path, stream: Iterator[bytes]) -> None:
    """Feed git fast-import, which writes one pack."""
    command = ["git", "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet", "--done"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE) as process:
        assert process.stdin
        for piece in stream:
            process.stdin.write(piece)
        process.stdin.write(b"done\n")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _history(files: int) -> Iterator[bytes]:
    text = Text(seed=files)
    yield commit(0)
    contents = {}
    for number in range(files):
        contents[number] = text.file()
        yield file(name(number), contents[number])
    for number in range(1, COMMITS):
        yield commit(number)
        for chosen in text.random.sample(range(files), k=min(5, files)):
            contents[chosen] += text.random.choice(text.pool)
            yield file(name(chosen), contents[chosen])


def commit(number: int) -> bytes:
    who = b"You <you@example.org> %d +0000" % (_DATE + 60 * number)
    return b"commit refs/heads/main\ncommitter %s\ndata 7\nA step.\n" % who


def file(path: str, content: bytes) -> bytes:
    return b"M 644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)


def name(number: int) -> str:
    """Forty files to a folder, forty folders to a folder."""
    return f"package_{number // 1600:02}/part_{number // 40 % 40:02}/module_{number:05}.py"


def tracked(folder: Path) -> Sequence[Path]:
    listed = git(folder, "ls-files", "-z").split(b"\0")[:-1]
    return [folder / os.fsdecode(path) for path in listed]


def copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
    _index_anew(target)  # the files have the times of the source, which was settled


def make_dirty(folder: Path) -> None:
    """Edit 20 files, evenly spread, and add 20 that git does not know."""
    text = Text(seed=1)
    files = tracked(folder)
    for path in files[:: len(files) // EDITED][:EDITED]:
        with path.open("ab") as out:
            out.write(text.random.choice(text.pool))
    for number in range(UNTRACKED):
        place = files[number].parent if number % 2 else folder / "scratch"
        place.mkdir(exist_ok=True)
        (place / f"new_{number:02}.py").write_bytes(text.file())


def change(folder: Path, modified: int, added: int) -> None:
    """Other code: so many files modified, so many new."""
    text = Text(seed=2)
    files = tracked(folder)
    for path in files[:: len(files) // modified][:modified]:
        path.write_bytes(path.read_bytes() + text.file())
    (folder / "other").mkdir()
    for number in range(added):
        (folder / "other" / f"module_{number:03}.py").write_bytes(text.file())


def settle(folder: Path) -> None:
    """An index written after all files, so that git trusts the times in it.

    By a second, which is as fine as git tells times apart: or status would read the files.
    """
    time.sleep(1.1)
    _index_anew(folder)


def _index_anew(folder: Path) -> None:
    (folder / ".git" / "index").unlink(missing_ok=True)
    git(folder, "read-tree", "HEAD")
    git(folder, "update-index", "-q", "--refresh")
