"""How much history a bundle carries: all of it, or stand-ins where it is cut.

A bundle cannot be shallow: every commit in it needs its parents. So a cut history ends in a
stand-in, the same commit without the parents that are left behind (and without signatures,
which would no longer hold). The true texts go into the manifest; whoever has the parents
rebuilds the true commit from them and checks its id.
"""

import hashlib
import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from jellyml.code.repository import kill
from jellyml.code.scan import Scan
from jellyml.code.scratch import PACK, Scratch
from jellyml.errors import GitError, TookTooLong

History = Literal["auto", "full", "none"] | int

# Budget of the automatic choice: what a checkpoint may grow by, and how long counting may take.
AUTO_SIZE = 64_000_000
AUTO_SECONDS = 1.5
# Of true texts the newest are kept, within this: with their parents there they are all it takes.
_TEXTS = 500_000
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle file; ``texts`` maps true commit ids to their raw text where it was cut."""

    path: Path
    commit: str
    cut: str = ""  # why, as the rest of a sentence
    texts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Budget:
    """What the automatic choice may take: bytes of bundle, seconds to count the objects."""

    size: int = AUTO_SIZE
    seconds: float = AUTO_SECONDS


def pack(scratch: Scratch, scan: Scan, commit: str, history: History, budget: Budget) -> Packed:
    """Write ``commit`` with as much history as asked for as a bundle."""
    path = scratch.directory / "bundle"
    reason = ""
    if history == "full" or history == "auto":
        shallow = (scan.repository.common_dir / "shallow").exists()
        if shallow and history == "full":
            raise GitError(
                "The history of this repository is itself cut (a shallow clone).",
                "git fetch --unshallow, or ask for history='auto'.",
            )
        limits = budget if history == "auto" else None
        reason = "this is a shallow clone" if shallow else _whole(scratch, commit, path, limits)
        if not reason:
            return Packed(path, commit)
    keep = history if isinstance(history, int) else 0
    stand_in, texts = _cut(scratch, scan, commit, keep)
    _write_header(path, stand_in, scan.repository.object_format)
    with path.open("ab") as out:
        scratch.pack([stand_in], [], out)
    cut = (reason or "as asked") if texts else ""
    return Packed(path, stand_in, cut, texts)


def _write_header(path: Path, commit: str, object_format: str) -> None:
    version = "v2" if object_format == "sha1" else "v3"
    capability = "" if object_format == "sha1" else f"@object-format={object_format}\n"
    path.write_text(f"# {version} git bundle\n{capability}{commit} HEAD\n\n")


def _whole(scratch: Scratch, commit: str, path: Path, budget: Budget | None) -> str:
    """Pack everything; or, where that is more than the budget, say why it was given up."""
    object_format = "sha1" if len(commit) == 40 else "sha256"
    _write_header(path, commit, object_format)
    with path.open("ab") as out:
        if budget is None:
            scratch.pack([commit], [], out)
            return ""
        return _within(scratch, commit, out, budget)


def _within(scratch: Scratch, commit: str, out: IO[bytes], budget: Budget) -> str:
    with scratch.git.start(*PACK) as process, scratch.git.watched(process):
        assert process.stdin
        assert process.stdout
        with suppress(BrokenPipeError):  # its own words, read below, say why it went
            process.stdin.write(f"{commit}\n".encode())
            process.stdin.close()
        process.stdin = None

        counting = threading.Timer(budget.seconds, kill, (process,))
        began = time.monotonic()
        counting.start()
        block = os.read(process.stdout.fileno(), _BLOCK)
        counting.cancel()
        if time.monotonic() - began > budget.seconds:  # the timer's thread may come late
            return f"it took more than {budget.seconds:g} s to count"
        size = 0
        while block:
            size += out.write(block)
            if size > budget.size:
                return f"it would take more than {budget.size / 1_000_000:g} MB"
            block = os.read(process.stdout.fileno(), _BLOCK)
        try:
            scratch.git.collect(process, None)
        except TookTooLong:
            raise
        except GitError as error:
            return f"git could not pack it ({error.problem.splitlines()[0]})"
    return ""


def _cut(scratch: Scratch, scan: Scan, commit: str, keep: int) -> tuple[str, dict[str, bytes]]:
    """Rewrite ``commit`` and ``keep`` commits below it so that nothing further is needed."""
    chain = [commit]
    if keep and scan.head:
        extra = keep + (commit == scan.head)
        # The user's own git: in a shallow clone it knows where history ends.
        listed = scan.repository.git.run(
            "rev-list", "--topo-order", f"--max-count={extra}", scan.head
        )
        chain += [one for one in listed.decode().split() if one != commit]
    rewritten: dict[str, str] = {}
    texts: dict[str, bytes] = {}
    chain.reverse()
    for one, text in zip(chain, scratch.git.read_objects(chain), strict=True):
        stand_in = _stand_in(text, rewritten)
        rewritten[one] = _commit_id(stand_in, one)
        if rewritten[one] != one:
            texts[one] = text
            scratch.keep_commit(stand_in, rewritten[one])
    return rewritten[commit], _newest(texts)


def _newest(texts: dict[str, bytes]) -> dict[str, bytes]:
    """As many of the texts, from the last back, as a manifest may hold; in order."""
    kept: dict[str, bytes] = {}
    room = _TEXTS
    for oid, text in reversed(texts.items()):
        room -= len(text)
        if room < 0 and kept:
            break
        kept[oid] = text
    return dict(reversed(kept.items()))


_HEADER = re.compile(rb"([\w-]+) [^\n]*\n(?: [^\n]*\n)*")


def _stand_in(text: bytes, rewritten: Mapping[str, str]) -> bytes:
    """A commit's text with the parents we carry, rewritten, and no others."""
    head, _, message = text.partition(b"\n\n")
    kept = []
    changed = False
    signed = (b"gpgsig", b"mergetag")
    for match in _HEADER.finditer(head + b"\n"):
        name, line = match[1], match[0]
        if name == b"parent":
            parent = line[7:].strip().decode()
            new = rewritten.get(parent)
            changed |= new != parent
            if new:
                kept.append(b"parent %s\n" % new.encode())
        else:
            kept.append(line)
    if not changed:
        return text
    lines = [line for line in kept if not line.startswith(signed)]
    return b"".join(lines) + b"\n" + message


def _commit_id(text: bytes, like: str) -> str:
    algorithm = "sha1" if len(like) == 40 else "sha256"
    return hashlib.new(algorithm, b"commit %d\0" % len(text) + text).hexdigest()
