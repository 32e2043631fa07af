"""Run what docs/fine-tune.md shows, in its order, and write the output into it anew.

A block of the page begins with its command. One that ends in ``...`` keeps its length.
"""

import os
import pty
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs/fine-tune.md"
PICTURE = PAGE.with_suffix(".png")
_BLOCK = re.compile(r"^```console\n\$ (.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_DATE = "2026-01-31T12:00:00+00:00"
_CUT = "..."


def main() -> int:
    """0 when every command did; the page is written only then."""
    scratch = Path(tempfile.mkdtemp(prefix="jellyml-demo-"))
    project = scratch / "sums"
    try:
        shutil.copytree(HERE / "sums", project, ignore=shutil.ignore_patterns("__*"))
        environment = _sealed(scratch)
        for command in ("git init -q -b main", "git add -A", "git commit -q -m 'Learn to add'"):
            _run(command, project, environment)
        made = _BLOCK.sub(lambda block: _again(block, project, environment), PAGE.read_text())
        shutil.copyfile(project / "change.png", PICTURE)
        PAGE.write_text(made)
    finally:
        shutil.rmtree(scratch)
    print(f"Wrote {PAGE.relative_to(HERE.parent)} and {PICTURE.relative_to(HERE.parent)}.")
    return 0


def _again(block: re.Match[str], project: Path, environment: dict[str, str]) -> str:
    command, before = block[1], block[2].splitlines()
    print(f"$ {command}", flush=True)
    lines = [line.rstrip() for line in _run(command, project, environment).splitlines()]
    if before and before[-1] == _CUT:
        lines = [*lines[: len(before) - 1], _CUT]
    return "\n".join([f"```console\n$ {command}", *lines, "```"])


def _run(command: str, project: Path, environment: dict[str, str]) -> str:
    """What the command says on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        shlex.split(command), cwd=project, env=environment, stdin=theirs, stdout=theirs
    ) as process:
        os.close(theirs)
        said = _all(ours)
    os.close(ours)
    if process.returncode:
        print(said)
        raise subprocess.CalledProcessError(process.returncode, command)
    return said.replace("\r\n", "\n").replace(socket.gethostname(), "laptop")


def _all(terminal: int) -> str:
    said = b""
    try:
        while piece := os.read(terminal, 1 << 16):
            said += piece
    except OSError:  # Linux: the other side is closed
        pass
    return said.decode()


def _sealed(scratch: Path) -> dict[str, str]:
    """Nothing of the user's: what is shown is the same for everyone, but for versions and time."""
    (scratch / "home").mkdir()
    given = {
        "HOME": str(scratch / "home"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
        "NO_COLOR": "1",
        "TERM": "xterm-256color",
        "COLUMNS": "100",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for role in ("AUTHOR", "COMMITTER"):
        given |= {f"GIT_{role}_NAME": "You", f"GIT_{role}_EMAIL": "you@example.org"}
        given |= {f"GIT_{role}_DATE": _DATE}
    dropped = ("GIT_", "XDG_", "JELLYML")
    return {name: each for name, each in os.environ.items() if not name.startswith(dropped)} | given


if __name__ == "__main__":
    sys.exit(main())
