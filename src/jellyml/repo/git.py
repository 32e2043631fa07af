"""Run git. Every git command in a repository starts here."""

import os
import select
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from jellyml.errors import GitError, NotARepository, TookTooLong
from jellyml.fs.paths import mode_of
from jellyml.repo.git_errors import refusal

# Inside a hook, git exports GIT_DIR and similar variables. Obeying them would act on another
# repository. Configuration variables are kept: containers pass safe.directory that way.
CONFIGURATION = (
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_KEY_",
    "GIT_CONFIG_VALUE_",
    "GIT_CEILING_DIRECTORIES",
)
# Optional locks off: reading must not rewrite the user's index.
# Lazy fetches off: a partial clone lacks objects, and fetching them would start whatever program
# the repository's configuration names. Git before 2.39.4 ignores GIT_NO_LAZY_FETCH; every
# supported git obeys an empty list of allowed protocols.
# Replace refs off: a snapshot contains the original objects, not their replacements.
_SET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}
# No configuration except JellyML's, for everything that comes from a checkpoint.
_ISOLATED = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
}
_STEADY = {
    # A folder in a working tree that looks like a bare repository may be untrusted, with a
    # configuration that names programs. Git before 2.38 ignores this setting, so
    # ``Repository.find`` makes the same check.
    "safe.bareRepository": "explicit",
    # With an empty hooksPath git runs /post-index-change. The null device contains no hooks.
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.splitIndex": "false",
    "core.quotePath": "true",
    "core.pager": "cat",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.graftFileDeprecated": "false",
}
_WITHOUT_USER_FILES = {
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
}


@dataclass(frozen=True, slots=True)
class Git:
    """How to start git: the folder, git directory, index and configuration.

    ``deadline`` is a ``time.monotonic()`` value. A command still running then is killed, and
    raises ``TookTooLong``.
    """

    folder: Path
    directory: Path | None = None
    work_tree: Path | None = None
    index: Path | None = None
    objects: tuple[Path, ...] = ()
    own_objects: Path | None = None
    config: dict[str, str] = field(default_factory=dict)
    isolated: bool = False
    deadline: float | None = None
    hold: Callable[[int], None] | None = None  # called with each process id, to set limits

    def configured(self, **options: str) -> "Git":
        """Return a copy with ``section__name="value"`` set for every command."""
        named = {key.replace("__", "."): value for key, value in options.items()}
        return replace(self, config=self.config | named)

    def run(
        self,
        *args: str | bytes,
        stdin: bytes | IO[bytes] = b"",
        stdout: IO[bytes] | None = None,
        accept: Sequence[int] = (0,),
    ) -> bytes:
        """Run a command and return its output. A status not in ``accept`` raises GitError.

        With ``stdout`` the output goes to that file, and the result is empty.
        """
        source = None if isinstance(stdin, bytes) else stdin
        with self.start(*args, stdin=source, stdout=stdout) as process:
            data = stdin if isinstance(stdin, bytes) else None
            return self.collect(process, data, accept=accept)[0]

    def collect(
        self,
        process: "subprocess.Popen[bytes]",
        stdin: bytes | None = b"",
        *,
        accept: Sequence[int] = (0,),
    ) -> tuple[bytes, bytes]:
        """Wait for a started command; return its output and its error output."""
        words = process.args
        assert isinstance(words, list)
        command = os.fsdecode(words[1])
        try:
            output, errors = process.communicate(stdin, timeout=self._left())
        except subprocess.TimeoutExpired:
            raise TookTooLong(f"git {command} did not finish in time.") from None
        if process.returncode not in accept:
            if self._left() == 0:
                raise TookTooLong(f"git {command} did not finish in time.")
            raise self._refusal(command, errors, process)
        return output or b"", errors

    def _refusal(
        self, command: str, errors: bytes, process: "subprocess.Popen[bytes]"
    ) -> GitError | NotARepository:
        limited = self.hold is not None
        return refusal(command, errors, self.folder, process.returncode, is_limited=limited)

    def line(self, *args: str | bytes) -> str:
        return os.fsdecode(self.run(*args).removesuffix(b"\n"))

    def succeeds(self, *args: str | bytes, stdin: bytes = b"") -> bool:
        """Return whether the status is 0. A killed git raises GitError, since it gave no answer."""
        with self.start(*args) as process:
            self.collect(process, stdin, accept=range(256))
            return process.returncode == 0

    def read_objects(self, ids: Iterable[str]) -> Iterator[bytes]:
        """Yield the raw content of each object, in order. A missing object raises GitError."""
        return (content for _, content in self.look_up(ids))

    def look_up(
        self, names: Iterable[str], *, most: int | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Yield the id and raw content of each object: ``main``, ``main^{tree}``, ``main:a/b``.

        Results are in order. A missing object, or one over ``most`` bytes, raises GitError.
        """
        requested = list(names)
        if not requested:
            return
        with self.start("cat-file", "--batch", "--buffer") as process, self.watched(process):
            assert process.stdin
            assert process.stdout
            # A thread writes the names: git may fill its output pipe before it has read them all.
            feeder = threading.Thread(target=_feed, args=(process.stdin, requested))
            feeder.start()
            try:
                for one in requested:
                    head = process.stdout.readline().split()
                    if most is not None and len(head) == 3 and int(head[2]) > most:
                        raise GitError(f"The object {one} has {int(head[2])} bytes, too many.")
                    content = process.stdout.read(int(head[2])) if len(head) == 3 else b""
                    if len(head) != 3 or not process.stdout.read(1):
                        if self._left() == 0:
                            raise TookTooLong("git cat-file did not finish in time.")
                        if not head and process.wait() < 0:
                            raise self._refusal("cat-file", b"", process)
                        raise GitError(f"The object {one} is missing.", "git fsck")
                    yield head[0].decode(), content
            finally:
                kill(process)
                feeder.join()

    @contextmanager
    def start(
        self,
        *args: str | bytes,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Start a command, fed through a pipe unless ``stdin`` is a file.

        It is killed if the block ends while it is still running.
        """
        try:
            process = _Process(
                [program(), *args],
                cwd=self.folder,
                env=self._environment(),
                stdin=stdin or subprocess.PIPE,
                stdout=stdout or subprocess.PIPE,
                stderr=subprocess.PIPE,
                # A separate process group: programs that git has started are killed with it.
                start_new_session=os.name != "nt",
            )
        except OSError as error:
            if not stat.S_ISDIR(mode_of(self.folder)):
                raise NotARepository(f"There is no folder {self.folder}.") from None
            if not isinstance(error, FileNotFoundError):
                raise
            raise _no_git() from None
        try:
            if self.hold:
                self.hold(process.pid)
            yield process
        finally:
            kill(process)
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    with suppress(BrokenPipeError):
                        stream.close()

    @contextmanager
    def watched(self, process: "subprocess.Popen[bytes]") -> Iterator[None]:
        """Kill a command at its deadline, also while this process blocks on one of its pipes."""
        left = self._left()
        watch = threading.Timer(threading.TIMEOUT_MAX if left is None else left, kill, [process])
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _left(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def _environment(self) -> dict[str, str]:
        settings = _STEADY | (_WITHOUT_USER_FILES if self.isolated else {}) | self.config
        inherited_variables = configured(
            inherited(CONFIGURATION if not self.isolated else ()), settings.items()
        )
        places = {
            "GIT_DIR": self.directory,
            "GIT_WORK_TREE": self.work_tree,
            "GIT_INDEX_FILE": self.index,
            "GIT_OBJECT_DIRECTORY": self.own_objects,
        }
        private = {name: str(path) for name, path in places.items() if path}
        if self.objects:
            private["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = os.pathsep.join(
                _quoted(path) for path in self.objects
            )
        return inherited_variables | _SET | (_ISOLATED if self.isolated else {}) | private


def inherited(names: tuple[str, ...] = CONFIGURATION) -> dict[str, str]:
    """Return this process's environment; of the GIT_ variables, those that begin with ``names``."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(names)
    }


def configured(
    environment: Mapping[str, str], settings: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """Return the environment with git settings that override every configuration file.

    Not by ``-c``: git splits that at the first ``=``, and the name of a filter may contain one.
    """
    count = environment.get("GIT_CONFIG_COUNT", "")
    number = int(count) if count.isdecimal() else 0
    result = dict(environment)
    for key, value in settings:
        result |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        number += 1
    return result | {"GIT_CONFIG_COUNT": str(number)}


def program() -> str:
    """Return the path of git. Raises GitError if PATH has none.

    Only absolute folders of PATH count. A relative one would be a folder of the working tree.
    """
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    folders = [folder for folder in path if os.path.isabs(folder)]  # noqa: PTH117 (on every start)
    path_of_git = shutil.which("git", path=os.pathsep.join(folders)) if folders else None
    if path_of_git is None:
        raise _no_git()
    return path_of_git


def _no_git() -> GitError:
    return GitError(
        "The program git was not found.",
        "install git 2.34 or newer and make sure that it is on PATH.",
    )


class _Process(subprocess.Popen[bytes]):
    """A git process that is not polled with sleeps: those cost a millisecond a command."""

    def wait(self, timeout: float | None = None) -> int:
        if timeout and self.returncode is None and hasattr(os, "pidfd_open"):
            with suppress(OSError):
                ended = os.pidfd_open(self.pid)
                try:
                    poll = select.poll()
                    poll.register(ended, select.POLLIN)
                    poll.poll(timeout * 1000)
                finally:
                    os.close(ended)
        return super().wait(timeout)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a command and everything it started, unless it has already ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            if os.name == "nt":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)


def _feed(stream: IO[bytes], lines: Sequence[str]) -> None:
    with suppress(BrokenPipeError):
        stream.write("".join(f"{line}\n" for line in lines).encode())
        stream.close()


def _quoted(path: Path) -> str:
    """Quote a path for the alternates variable: git expects C quoting there."""
    text = str(path)
    if os.pathsep not in text and not text.startswith('"'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def bare_config(object_format: str) -> str:
    """Return the configuration file that ``make_bare`` writes."""
    version, extension = ("0", "")
    if object_format != "sha1":
        version, extension = "1", f"[extensions]\n\tobjectformat = {object_format}\n"
    return f"[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{extension}"


def make_bare(directory: Path, object_format: str) -> None:
    """Create the files of ``git init --bare``, without starting git."""
    for name in ("objects/pack", "objects/info", "refs/heads"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "config").write_text(bare_config(object_format))
    (directory / "HEAD").write_text("ref: refs/heads/none\n")


_NEEDS_QUOTES = (b"\n", b"\r", b'"', b"\\")


def quoted(path: bytes) -> bytes:
    """Return a path for one line of git's input, C-quoted if necessary."""
    if not any(mark in path for mark in _NEEDS_QUOTES) and not path.startswith(b" "):
        return path
    escapes: Mapping[bytes, bytes] = {
        b"\\": b"\\\\",
        b'"': b'\\"',
        b"\n": b"\\n",
        b"\r": b"\\r",
    }
    for plain, escaped in escapes.items():
        path = path.replace(plain, escaped)
    return b'"' + path + b'"'
