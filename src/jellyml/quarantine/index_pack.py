"""Unpack a pack with git's index-pack, which checks every object, and interpret its errors.

A thread feeds the pack to git, so that the caller can do other work meanwhile.
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

# Defects that are common in honest old repositories. Git 2.34 knows all of these names; an
# unknown one would be fatal.
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
    """A pack that git is unpacking and checking."""

    process: Process
    size: int
    stored: Path
    words: bytearray = field(default_factory=bytearray)
    failure: BaseException | None = None  # raised by the iterator of pieces
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
                except (OSError, ValueError):  # git has exited; its status gives the reason
                    return
        except BaseException as problem:  # noqa: BLE001 - raised again by ``wait``
            self.failure = problem
        finally:
            with suppress(OSError):
                stdin.close()

    def wait(self) -> None:
        """Wait until all objects are stored.

        Raises BadSnapshot, GitError, and errors of the pieces.
        """
        self.threads[0].join()
        if self.failure:
            raise self.failure
        status = self.process.wait()
        self.threads[1].join()
        if status:
            raise _refusal(status, bytes(self.words))
        if sum(each.stat().st_size for each in self.stored.glob("*.pack")) != self.size:
            raise BadSnapshot("The bundle in this checkpoint continues after its end.", AGAIN)


@contextmanager
def unpack(start: Start, pack: Iterable[bytes], size: int, directory: Path) -> Iterator[Unpacking]:
    """Start to unpack ``size`` bytes into the git directory ``directory``.

    ``--strict`` also requires every referenced object. If git is still running at the end of the
    block, it is killed.
    """
    command = ("index-pack", "--stdin", "--threads=1", _STRICT, f"--max-input-size={size}")
    with start(*command) as process:
        unpacking = Unpacking(process, size, directory / "objects" / "pack")
        unpacking.begin(pack)
        try:
            yield unpacking
        finally:
            process.kill()  # no effect if it has ended; otherwise the feeder would block
            for one in unpacking.threads:
                one.join()


def _listen(stderr: IO[bytes] | None, words: bytearray) -> None:
    """Keep the last bytes of the error output. Unread output would block git, and may be large."""
    assert stderr
    with suppress(ValueError):  # closed when the feeding failed
        while line := stderr.readline(_LINE):
            words += line
            del words[:-_LINE]


def _refusal(status: int, words: bytes) -> BadSnapshot | GitError:
    """Translate git's message. It may contain bytes of the bundle, so it is not repeated."""
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
            f"The bundle in this checkpoint is not trustworthy: git finds {fault} in {each}."
        )
    return BadSnapshot("The bundle in this checkpoint is damaged.", AGAIN)
