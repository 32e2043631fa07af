"""A pack unpacked by git, which checks every object; what git says of it, understood.

The bytes come from another thread, so that who waits for the result can do other things.
"""

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from jellyml.errors import BadSnapshot, GitError
from jellyml.quarantine.tree_check import Process, Start, takes_too_much
from jellyml.repo.bundle_header import AGAIN, INCOMPLETE

# What honest old repositories are full of. All of these are known to git 2.34: an unknown
# one would be fatal.
_BLEMISHES = (
    "badDate", "badDateOverflow", "badEmail", "badFilemode", "badName", "badTimezone",
    "missingEmail", "missingNameBeforeEmail", "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail", "multipleAuthors", "nulInCommit", "zeroPaddedDate",
    "zeroPaddedFilemode",
)  # fmt: skip
_STRICT = "--strict=" + ",".join(f"{each}=ignore" for each in _BLEMISHES)
_LINE = 4096


@dataclass(slots=True)
class Unpacking:
    """A pack on its way into git, which checks and keeps every object."""

    process: Process
    size: int
    stored: Path
    words: bytearray = field(default_factory=bytearray)
    failure: BaseException | None = None  # of whoever gives the pieces
    threads: tuple[threading.Thread, ...] = ()

    def begin(self, pieces: Iterable[bytes]) -> None:
        self.threads = (
            threading.Thread(target=self._feed, args=(pieces,), daemon=True),
            threading.Thread(target=_listen, args=(self.process.stderr, self.words), daemon=True),
        )
        for one in self.threads:
            one.start()

    def _feed(self, pieces: Iterable[bytes]) -> None:
        stdin = self.process.stdin
        assert stdin
        try:
            for piece in pieces:
                try:
                    stdin.write(piece)
                except (OSError, ValueError):  # it has ended, and its status says why
                    return
        except BaseException as problem:  # noqa: BLE001 - raised where the result is asked for
            self.failure = problem
        finally:
            with suppress(OSError):
                stdin.close()

    def wait(self) -> None:
        """Until all is stored; raises BadSnapshot, GitError, and what the pieces raised."""
        self.threads[0].join()
        if self.failure:
            raise self.failure
        status = self.process.wait()
        self.threads[1].join()
        if status:
            raise _refusal(status, bytes(self.words))
        if sum(each.stat().st_size for each in self.stored.glob("*.pack")) != self.size:
            raise BadSnapshot("The bundle in this checkpoint goes on behind its end.", AGAIN)


@contextmanager
def unpack(start: Start, pack: Iterable[bytes], size: int, directory: Path) -> Iterator[Unpacking]:
    """Begin to unpack ``size`` bytes into the git directory ``directory``.

    ``--strict`` also wants all that the objects refer to. A git that still runs when the block
    is left is killed.
    """
    asked = ("index-pack", "--stdin", "--threads=1", _STRICT, f"--max-input-size={size}")
    with start(*asked) as process:
        found = Unpacking(process, size, directory / "objects" / "pack")
        found.begin(pack)
        try:
            yield found
        finally:
            process.kill()  # unless it has ended; or the feeder would wait for it
            for one in found.threads:
                one.join()


def _listen(stderr: IO[bytes] | None, words: bytearray) -> None:
    """Keep the last of what is said: unread it would block, and there may be much of it."""
    assert stderr
    with suppress(ValueError):  # closed when the feeding failed
        while line := stderr.readline(_LINE):
            words += line
            del words[:-_LINE]


def _refusal(status: int, words: bytes) -> BadSnapshot | GitError:
    """What git's words mean. They may hold bytes of the bundle, so they are not repeated."""
    if re.search(rb"No space left|Out of diskspace|quota exceeded", words):
        return GitError(
            "There is not enough disk space to look into the checkpoint.",
            "free some, or set TMPDIR to a folder that has more.",
        )
    if status < 0 or re.search(rb"(?i)out of memory", words):
        return takes_too_much()
    if b"did not receive expected object" in words or b"unresolved delta" in words:
        return BadSnapshot(INCOMPLETE)
    bad = re.search(rb"object ([0-9a-f]{40,64}): (\w{1,40}):", words)
    if bad:
        each, fault = bad[1].decode(), bad[2].decode()
        return BadSnapshot(
            f"The bundle in this checkpoint is not to be trusted: git finds {fault} in {each}."
        )
    return BadSnapshot("The bundle in this checkpoint is damaged.", AGAIN)
