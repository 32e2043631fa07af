"""Check our files against JellyML 1.0 itself, both ways; needs a package index, so not in the suite.

    python -m venv /tmp/old && /tmp/old/bin/pip install --no-deps jellyml==1.0.0
    /tmp/old/bin/pip install rich appdirs
    python tests/compat/with_1_0.py /tmp/old/bin/python

1.0 pins an old torch; it is given the one of the Python that runs this. It is run, never read.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[2] / "src"), str(Path(__file__).parents[1])]

from checkpoint_files import appended, saved, tensor

from jellyml.checkpoint import Checkpoint
from jellyml.code import filling
from jellyml.formats import KEY, MANIFEST_KEY

_SAVE = "import jellyml, sys, torch; torch.save({'w': torch.ones(2), **jellyml.create_snapshot()}, sys.argv[1])"


def run(folder: Path, *command: str | Path, stdin: bytes = b"") -> bytes:
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n")
    site = Path(torch.__file__).parents[1]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(site)},
        input=stdin,
        capture_output=True,
    )
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout.decode()}{done.stderr.decode()}")
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    listed = run(folder, "git", "ls-files", "-z").decode().split("\0")
    return {name: (folder / name).read_bytes() for name in listed if name}


def project(folder: Path) -> Path:
    folder.mkdir()
    run(folder, "git", "init", "-q", "-b", "main")
    (folder / "train.py").write_text("print('one')\n")
    (folder / ".gitignore").write_text("*.pth\n")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "one")
    return folder


def ours_opens_in_1_0(scratch: Path, old: Path) -> None:
    repository = project(scratch / "ours")
    commit = run(repository, "git", "rev-parse", "HEAD").decode().strip()
    bundle = run(repository, "git", "bundle", "create", "-q", "-", "HEAD")
    head = filling.header(bundle, commit=commit, stands_for="2" * 40, object_format="sha1")
    manifest = filling.manifest_record({"commit": commit, "command": ["train.py", "--lr", "1"]})
    code, beside = tensor(head + bundle), tensor(manifest)
    model = {"w": torch.ones(2)}
    layouts = {
        "in the dictionary, manifest last": saved({**model, KEY: code, MANIFEST_KEY: beside}),
        "in the dictionary, manifest first": saved({MANIFEST_KEY: beside, KEY: code, **model}),
        "appended": appended(
            appended(saved(model), f"archive/data/{MANIFEST_KEY}", manifest),
            f"archive/data/{KEY}",
            head + bundle,
        ),
    }
    for number, (layout, data) in enumerate(layouts.items()):
        path = scratch / "model.pth"
        path.write_bytes(data)
        torch.load(path, weights_only=True)
        # Into a repository; into any other folder 1.0 loads nothing, not even its own files.
        target = project(scratch / f"target{number}")
        (target / "train.py").write_text("print('mine')\n")
        run(target, old.parent / "jellyml", "load-snapshot-from", str(path), "--no_donut")
        at = run(target, "git", "rev-parse", "HEAD").decode().strip()
        right = (at, files(target)) == (commit, files(repository))
        print(f"ours in 1.0, {layout}, loaded: {'right' if right else 'WRONG'}")
        extracted = target / "extracted.bundle"
        run(
            target, old.parent / "jellyml", "fix", "extract-bundle", str(path), "-o", str(extracted)
        )
        same = extracted.read_bytes() == bundle
        print(f"ours in 1.0, {layout}, extracted: {'right' if same else 'WRONG'}")
        if not (right and same):
            raise SystemExit(1)


def theirs_opens_in_ours(scratch: Path, old: Path) -> None:
    repository = project(scratch / "theirs")
    for state in ("clean", "dirty"):
        if state == "dirty":
            (repository / "train.py").write_text("print('two')\n")
            (repository / "notes.txt").write_text("new\n")
        path = scratch / f"{state}.pth"
        run(repository, old, "-c", _SAVE, str(path))
        (scratch / "their.bundle").write_bytes(b"".join(Checkpoint.open(path).bundle()))
        clone = scratch / f"clone-{state}"
        run(scratch, "git", "clone", "-q", "their.bundle", str(clone))
        run(repository, "git", "add", "-A")
        right = files(clone) == files(repository)
        print(f"1.0's in ours, {state}: {'right' if right else 'WRONG'}")
        if not right:
            raise SystemExit(1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        ours_opens_in_1_0(Path(folder), Path(sys.argv[1]))
        theirs_opens_in_ours(Path(folder), Path(sys.argv[1]))
