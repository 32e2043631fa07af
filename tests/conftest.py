"""A sealed home for every test, and repositories to try things on."""

import os
import subprocess
from pathlib import Path

import pytest

from trials import pytest_terminal_summary  # noqa: F401 (a hook: the trials are told at the end)

DATE = "2024-01-02T03:04:05+00:00"


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home: no configuration, no cache, no identity of the machine's user."""
    folder = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("GIT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return folder


@pytest.fixture(autouse=True)
def tests_are_a_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of these tests, and what earlier ones left loaded, are no code of a run."""
    from jellyml.capture import loaded_modules

    tools = (*loaded_modules.TOOLS, str(Path(__file__).parent))
    monkeypatch.setattr(loaded_modules, "TOOLS", tools)
    earlier = {str(Path(one.path).parent) for one in loaded_modules.user_modules()}
    monkeypatch.setattr(loaded_modules, "TOOLS", (*tools, *earlier))


class Folder:
    """A folder to work in as a user would, with git at hand."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *args: str | bytes, check: bool = True, stdin: bytes = b"") -> bytes:
        identity = {
            "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": DATE,
            "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
            "GIT_COMMITTER_DATE": DATE,
        }  # fmt: skip
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *args],
            cwd=self.path,
            env=os.environ | identity,
            input=stdin,
            capture_output=True,
        )
        if check and done.returncode:
            raise AssertionError(f"git {args!r}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def write(self, name: str, content: str | bytes = "", *, executable: bool = False) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if executable:
            path.chmod(0o755)
        return path

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def commit(self, message: str = "a commit") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").decode().strip()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "work"
    path.mkdir()
    return Folder(path)


@pytest.fixture
def repo(folder: Folder) -> Folder:
    """A repository with two commits on ``main``."""
    folder.git("init", "-q", "-b", "main")
    folder.write("train.py", "print('one')\n")
    folder.write("lib/net.py", "width = 8\n")
    folder.write(".gitignore", "*.log\ndata/\n")
    folder.commit("first")
    folder.write("train.py", "print('two')\n")
    folder.commit("second")
    return folder
