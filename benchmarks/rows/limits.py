"""Single calls that must stay below a limit of processor time, however busy the machine is."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

from benchmarks.bench import Bench
from benchmarks.line import Check, Line, compared, tried
from benchmarks.measure import inside, interleaved
from benchmarks.rows.recording import DISTRIBUTIONS, add_distributions
from jellyml.secrets import search
from jellyml.secrets.redact import mask_text
from jellyml.snapshot import environment, manifest
from jellyml.snapshot.facts import CodeFacts
from jellyml.working_tree.exclude import Untracked, choose, is_checkpoint

name = "limits"

# Texts on which a regular expression that backtracks needs quadratic time.
_SEARCHED = ("wandb key ", "://a", "http://aaaaaaaa:", "sk-", "-----BEGIN A ")
_MASKED = ("a", "a.", "key=", "token ", "x://", "a:b@", "eyJ", "--k ", "aB1")
_MEGABYTE = 1_000_000


def lines(bench: Bench) -> Iterator[Line]:
    with bench.folder() as folder:
        for what, limit, prepare in (
            (f"record {DISTRIBUTIONS} distributions", 0.03, _distributions),
            ("choose among 20 small untracked files", 0.002, _untracked),
            ("recognise a checkpoint of 64 GB", 0.2, _huge),
        ):
            yield tried(what, partial(_measured, bench, what, limit, prepare(folder)))
    for text in _SEARCHED:
        data = text.encode() * (_MEGABYTE // len(text))
        what = f"search 1 MB of {text!r} for credentials"
        yield tried(what, partial(_measured, bench, what, 0.1, partial(_search, data)))
    for text in _MASKED:
        what = f"mask 200 KB of {text!r}"
        masked = partial(mask_text, text * (_MEGABYTE // 5 // len(text)))
        yield tried(what, partial(_measured, bench, what, 2.0, masked))


def _measured(bench: Bench, what: str, limit: float, call: Callable[[], object]) -> Line:
    samples = interleaved({"ours": inside(call)}, min(bench.runs(), 9))
    least = min(sample.processors for sample in samples["ours"])
    return compared(what, "", samples, Check("processor time", least, limit, "s"))


def _distributions(folder: Path) -> Callable[[], object]:
    add_distributions(folder / "site-packages")

    def record() -> None:
        environment._installed_in.cache_clear()
        manifest.record(CodeFacts(root=folder), version="2.0.0")

    return partial(_with_path, [str(folder / "site-packages")], record)


def _with_path(path: list[str], call: Callable[[], object]) -> None:
    with patch.object(sys, "path", path):
        call()


def _untracked(folder: Path) -> Callable[[], object]:
    files = []
    for number in range(20):
        content = b"x = 1\n" * 500 if number % 2 else b"\x89PNG\0" * 4000
        (folder / f"{number}").write_bytes(content)
        files.append(Untracked(b"%d" % number, len(content)))
    return partial(choose, files, root=folder)


def _huge(folder: Path) -> Callable[[], object]:
    path = folder / "huge"
    path.write_bytes(b"\0unknown")
    os.truncate(path, 1 << 36)  # a hole, except for its first bytes
    return partial(is_checkpoint, path)


def _search(data: bytes) -> None:
    for _ in search.search(data):
        pass
