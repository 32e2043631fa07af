"""What a user does: save a model, and type commands into a pipe or on a terminal."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import torch

import jellyml
from conftest import Folder
from jellyml.cli import main

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-m", "jellyml")
# The interrupt key speaks to the session whose terminal it is.
_TAKE_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Said(NamedTuple):
    status: int
    out: str
    err: str


def save_model(repo: Folder, name: str = "model.pth") -> Path:
    """A checkpoint that carries the code as it now is."""
    path = repo.path / name
    torch.save({"weight": torch.arange(6.0), **jellyml.create_snapshot(repo.path)}, path)
    return path


def environment(**more: str) -> dict[str, str]:
    ours = ("NO_COLOR", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color"} | more


def type_command(*words: str | Path, cwd: Path) -> Said:
    """``jellyml`` with its output in pipes and nobody to ask, in this process: quick."""
    out, err = (TextIOWrapper(BytesIO(), "utf-8") for _ in range(2))
    here = Path.cwd()
    os.chdir(cwd)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main([str(word) for word in words])
    finally:
        os.chdir(here)
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(_text(stream.buffer.read()))
    return Said(status, *texts)


def start_command(*words: str | Path, cwd: Path, **more: str) -> Said:
    """The same in a process of its own, for what shows only there."""
    done = subprocess.run(
        [*PROGRAM, *map(str, words)],
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    return Said(done.returncode, _text(done.stdout), _text(done.stderr))


def type_on_terminal(
    *words: str, cwd: Path, answer: bytes = b"", more: Mapping[str, str] | None = None
) -> Said:
    """Run ``jellyml`` on a terminal of its own; ``answer`` is typed when it waits at a prompt."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    given = environment(**({"COLUMNS": "80", "LINES": "24"} | dict(more or {})))
    with subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, *PROGRAM, *words],
        cwd=cwd,
        env=given,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            select.select([ours], [], [], 0.1)
            try:
                piece = os.read(ours, 65536)
            except BlockingIOError:
                continue
            except OSError:  # Linux: the other side is closed
                piece = b""
            if not piece:
                if process.poll() is not None:
                    break
                time.sleep(0.05)  # a process that is starting may have it closed for a moment
                continue
            shown += piece
            if answer and shown.endswith(b"] "):
                os.write(ours, answer)
                answer = b""
        if time.monotonic() >= until:
            process.kill()
    os.close(ours)
    return Said(process.returncode, _text(shown).replace("\r\n", "\n"), "")


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")
