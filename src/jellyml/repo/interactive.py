"""Git on the user's terminal: a command the user typed, or output in the user's pager.

The user's environment and settings apply. Hooks, file system monitors and every program that
only the repository's configuration names are disabled: they may have come with the folder.
"""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from jellyml.fs import tempdirs
from jellyml.repo.git import CONFIGURATION, configured, inherited, program

_OFF = {
    "safe.bareRepository": "explicit",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
}.items()
# Settings that name a program, or where to find one (git-config(1)).
_PROGRAM = re.compile(
    r"core\.(pager|editor|sshcommand|askpass|gitproxy|alternaterefscommand)"
    r"|(diff\.external|sequence\.editor|interactive\.difffilter|init\.templatedir|web\.browser)"
    r"|(alias|pager|protocol|filter|browser|man|sendemail)\..+"
    r"|diff\..+\.(command|textconv)|merge\..+\.driver|(diff|merge)tool\..+|credential\.(.+\.)?helper"
    r"|gpg\.(.+\.)?(program|defaultkeycommand)|trailer\..+\.(cmd|command)|submodule\..+\.update"
    r"|remote\..+\.(uploadpack|receivepack|vcs)|uploadpack\.packobjectshook"
    r"|gc\.recentobjectshook|hook\..+\.command"
    r"|tar\..+\.command|imap\.tunnel|instaweb\..+|guitool\..+|lfs\..+",
    re.DOTALL,
)
_OF_THE_REPOSITORY = ("local", "worktree")


def attached(folder: Path, words: Sequence[str]) -> int:
    """Run git and return its status as a shell would."""
    environment = configured(os.environ, (*_OFF, *_as_the_user_has_it(folder)))
    with _deaf_to_interrupts():
        status = subprocess.call([program(), *words], cwd=folder, env=environment)
    return status if status >= 0 else 128 - status


def page(lines: Iterable[str], encoding: str) -> None:
    """Show lines in the pager that git would choose for this user, until it exits.

    Only git knows that pager. Git runs in an empty folder, so no repository's configuration
    applies, and pages what the alias copies to it.
    """
    with tempdirs.folder() as neutral:
        settings = (*_OFF, ("alias.jellyml-page", "!cat"))
        environment = configured(inherited((*CONFIGURATION, "GIT_PAGER")), settings)
        environment["GIT_CEILING_DIRECTORIES"] = str(neutral.parent)
        command = [program(), "--paginate", "jellyml-page"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, cwd=neutral, env=environment
        ) as process:
            assert process.stdin
            with _deaf_to_interrupts(), suppress(BrokenPipeError):
                for line in lines:
                    process.stdin.write(line.encode(encoding, "backslashreplace") + b"\n")
                process.stdin.close()
            with _deaf_to_interrupts():
                process.wait()


def _as_the_user_has_it(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the repository's program settings, with the values they have without it."""
    listed = subprocess.run(
        [program(), "config", "--list", "--show-scope", "-z"],
        cwd=folder,
        env=configured(os.environ, _OFF),
        capture_output=True,
    )
    parts = listed.stdout.split(b"\0")
    named: set[str] = set()
    own: dict[str, list[str]] = {}
    for scope, setting in zip(parts[:-1:2], parts[1::2], strict=True):
        key, _, value = os.fsdecode(setting).partition("\n")
        if not _PROGRAM.fullmatch(key):
            continue
        if scope.decode() in _OF_THE_REPOSITORY:
            named.add(key)
        else:
            own.setdefault(key, []).append(value)
    if any(key.startswith("protocol.") for key in named):
        named.add("protocol.ext.allow")  # otherwise the next lines would allow it
    for key in sorted(named):
        if key.startswith("credential."):
            yield key, ""  # the setting is a list; an empty value resets it
        for value in own.get(key, [_without(key, os.environ)]):
            yield key, value


def _without(key: str, environment: Mapping[str, str]) -> str:
    """Return a setting's default value. For most settings an empty value names no program."""
    usual = {
        "core.pager": environment.get("PAGER", "less"),
        "core.editor": environment.get("VISUAL") or environment.get("EDITOR") or "vi",
        "core.sshcommand": "ssh",
        "protocol.ext.allow": "never",
    }
    return usual.get(key, "user" if key.startswith("protocol.") else "")


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Leave an interrupt to the child process, which receives it too.

    The handler does nothing; SIG_IGN would be inherited by the child. Without an exception,
    nothing can come between the child's exit and the recording of its status.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are delivered to the main thread only
        return
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
