"""The main job on a real training run: save, change the code, load, train again, undo.

Every claim on the screen is checked, byte by byte; the first that does not hold ends the demo.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
AT_LEAST = 0.95

AUGMENT = '''\
"""Blur the picture with noise, so that the network learns shapes, not single pixels."""

import torch


def noisy(pictures: torch.Tensor) -> torch.Tensor:
    return pictures + 0.1 * torch.randn_like(pictures)
'''
COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class Wrong(Exception):
    """Something on the screen was about to be untrue."""


def main() -> int:
    began = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="jellyml-demo-"))
    try:
        Story(scratch).tell()
    except (Wrong, subprocess.CalledProcessError) as problem:
        print(paint(f"\nThe demo failed: {problem}", "31"), f"\nIts folder is kept: {scratch}")
        return 1
    shutil.rmtree(scratch)
    print(f"\n{time.monotonic() - began:.0f} seconds; the scratch folder is removed.")
    return 0


class Story:
    """One project in a scratch folder, and what is done to it."""

    def __init__(self, scratch: Path) -> None:
        self.project = scratch / "digits"
        self.step = 0
        # Your git configuration stays out, so that everyone sees the same story.
        sealed = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "advice.detachedHead",
            "GIT_CONFIG_VALUE_0": "false",
            "GIT_PAGER": "cat",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        for role in ("AUTHOR", "COMMITTER"):
            sealed |= {f"GIT_{role}_NAME": "You", f"GIT_{role}_EMAIL": "you@example.org"}
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("GIT_")
        } | sealed

    def tell(self) -> None:
        self.start_project()
        trained = self.train_and_save()
        changed = self.change_code()
        self.load(trained)
        self.train_again(trained)
        self.undo(changed)
        self.show_code_in_file()

    def start_project(self) -> None:
        self.title("A project, an uncommitted edit and an untracked file")
        shutil.copytree(HERE / "project", self.project, ignore=shutil.ignore_patterns("__*"))
        self.quietly("git", "init", "-q", "-b", "main")
        self.quietly("git", "add", "-A")
        self.quietly("git", "commit", "-q", "-m", "Digits, first try")
        self.edit("net.py", "WIDTH = 16", "WIDTH = 128")
        self.edit("train.py", "import torch\n", "import torch\nfrom augment import noisy\n")
        self.edit("train.py", "net(seen[batch])", "net(noisy(seen[batch]))")
        (self.project / "augment.py").write_text(AUGMENT)
        self.show_folder()

    def train_and_save(self) -> dict[str, str]:
        self.title("Train; the code goes into the checkpoint")
        before = self.everything()
        self.run("python", "train.py", "model.pth")
        after = self.everything()
        after.pop("model.pth")
        self.prove("Saving changed nothing.", "files, .git, index, branches", before, after)
        return self.files()

    def change_code(self) -> dict[str, str]:
        self.title("Go on working, until the code no longer fits the checkpoint")
        self.edit("net.py", "nn.ReLU()", "nn.Sigmoid()")
        self.quietly("git", "add", "net.py")
        self.edit("net.py", "WIDTH = 128", "WIDTH = 4")
        self.edit("train.py", "net(noisy(seen[batch]))", "net(seen[batch] * 0)")
        (self.project / "augment.py").unlink()
        (self.project / "ideas.txt").write_text("what if the digits were upside down?\n")
        self.show_folder()
        return self.everything()

    def load(self, trained: dict[str, str]) -> None:
        self.title("Load the code of the checkpoint")
        self.run("jellyml", "load", "model.pth")
        self.show_folder()
        self.prove("This is the code that trained it.", "bytes and modes", trained, self.files())

    def train_again(self, trained: dict[str, str]) -> None:
        self.title("Train again from the loaded code")
        self.run("python", "train.py", "again.pth")
        first, second = (self.weights(name) for name in ("model.pth", "again.pth"))
        self.prove("The same weights, to the last bit.", "tensors", first, second)
        (self.project / "again.pth").unlink()

    def undo(self, changed: dict[str, str]) -> None:
        self.title("Undo: back to the work of step 3")
        self.run("jellyml", "undo")
        self.show_folder()
        wanted, found = map(without_git_folder, (changed, self.everything()))
        self.prove("All is as it was in step 3.", "files, index, branches, HEAD", wanted, found)

    def show_code_in_file(self) -> None:
        self.title("What is in the checkpoint, from the file alone")
        self.run("jellyml", "git", "model.pth", "clone", "--quiet", "{}", "../from-the-file")
        self.run("git", "-C", "../from-the-file", "show")
        accuracy = float(torch.load(self.project / "model.pth", weights_only=True)["accuracy"])
        if accuracy < AT_LEAST:
            raise Wrong(f"the accuracy is {accuracy:.1%}, below {AT_LEAST:.0%}")
        print(paint(f"\nAccuracy reached: {accuracy:.1%} (at least {AT_LEAST:.0%} was due).", "1"))

    # What is where.

    def files(self) -> dict[str, str]:
        """Name -> mode and digest of every file that is not git's own or a checkpoint."""
        return {
            name: state
            for name, state in self.everything().items()
            if not name.startswith((".git/", "git ")) and not name.endswith(".pth")
        }

    def everything(self) -> dict[str, str]:
        """All files, git's own too, and what git says of index, branches and HEAD."""
        questions = (
            "git ls-files --stage",
            "git ls-files -v",
            "git for-each-ref refs/heads refs/tags refs/stash",
            "git rev-parse --symbolic-full-name HEAD",
            "git rev-parse HEAD",
        )
        found = {question: self.ask(*question.split()) for question in questions}
        for path in sorted(self.project.rglob("*")):
            if path.is_file():
                name = path.relative_to(self.project).as_posix()
                found[name] = f"{path.stat().st_mode:o} {digest(path)}"
        return found

    def weights(self, name: str) -> dict[str, str]:
        model = torch.load(self.project / name, weights_only=True)["model"]
        return {
            key: hashlib.sha256(value.numpy().tobytes()).hexdigest() for key, value in model.items()
        }

    # Acting and telling.

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.project / name
        text = path.read_text()
        if old not in text:
            raise Wrong(f"{name} has no {old!r}")
        path.write_text(text.replace(old, new))

    def ask(self, *words: str) -> str:
        environment = self.environment | {"GIT_OPTIONAL_LOCKS": "0"}
        return subprocess.run(
            words, cwd=self.project, env=environment, check=True, capture_output=True, text=True
        ).stdout

    def quietly(self, *words: str) -> None:
        subprocess.run(words, cwd=self.project, env=self.environment, check=True)

    def run(self, *words: str) -> None:
        print(paint(f"\n$ {' '.join(words)}", "1;36"))
        sys.stdout.flush()
        self.quietly(*words)

    def title(self, text: str) -> None:
        self.step += 1
        print(paint(f"\n{self.step}. {text}", "1;35"))

    def show_folder(self) -> None:
        """Each file with the beginning of its digest, and what git says of it."""
        said = dict(
            (line[3:], line[:2]) for line in self.ask("git", "status", "--short").splitlines()
        )
        print()
        for path in sorted(self.project.iterdir()):
            if path.is_file() and path.name != ".gitignore":
                state = STATES.get(said.get(path.name, ""), "")
                print(f"   {path.name:<12}{digest(path)[:8]}  {state}".rstrip())
        gone = [name for name, state in said.items() if "D" in state]
        for name in gone:
            print(f"   {name:<12}deleted")

    def prove(self, claim: str, by: str, wanted: dict[str, str], found: dict[str, str]) -> None:
        different = sorted(
            name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
        )
        if different:
            raise Wrong(f"not true: {claim} Different: {', '.join(different)}")
        print(paint(f"\n   ✓ {claim} ({len(wanted)} compared: {by})", "32"))


STATES = {
    " M": "edited, not committed",
    "M ": "edited, staged",
    "MM": "edited, staged, edited again",
    "??": "untracked",
}


def without_git_folder(state: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in state.items() if not name.startswith(".git/")}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


if __name__ == "__main__":
    sys.exit(main())
