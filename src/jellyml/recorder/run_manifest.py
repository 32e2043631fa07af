"""The manifest of a recorded run, which describes the command, not the recording process."""

import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from jellyml.secrets.redact import redact_tree
from jellyml.snapshot import environment, serialization
from jellyml.snapshot.facts import CodeFacts
from jellyml.snapshot.manifest import Manifest
from jellyml.snapshot.snapshot import Snapshot

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?")
_LONGEST_LINE = 256
_OUR_PROCESS = ("notebook", "torch", "python", "distributions")


def of_command(snapshot: Snapshot, command: Sequence[str], root: Path) -> Snapshot:
    """Return the snapshot with a manifest of how, and in which environment, ``command`` runs.

    The environment is left out if it cannot be read without running the command.
    """
    manifest = serialization.parse_manifest(snapshot.manifest)
    for name in _OUR_PROCESS:
        manifest.pop(name, None)
    section = {
        "argv": list(command),
        "launched": list(command),
        "script": None,
        "module": None,
        "cwd": Manifest(manifest).command.get("cwd"),
    }
    manifest["command"] = redact_tree(section, {"argv": "arguments", "launched": "arguments"})
    manifest["recorded"] = True
    manifest |= _environment(command[0], root)
    facts = CodeFacts(root, snapshot.commit, error=snapshot.error, left_out=snapshot.left_out)
    return Snapshot(snapshot.filling, serialization.manifest_record(manifest), facts)


def _environment(program: str, root: Path) -> dict[str, object]:
    interpreter = _interpreter(program)
    if interpreter is None:
        return {}
    prefix = interpreter.parent.parent
    if prefix == Path(sys.prefix):
        python, folders = environment.python(), None
    else:
        version = _version(prefix)
        if not version:
            return {}
        python = {"version": version}
        folders = [*prefix.glob("lib/python3*/site-packages"), prefix / "Lib" / "site-packages"]
    packages = environment.distributions(root, None if folders is None else map(str, folders))
    return {"python": python, "distributions": packages}


def _interpreter(program: str) -> Path | None:
    """Return the Python that a program is, or that its first line names, without running it."""
    executable = shutil.which(program)
    if executable is None:
        return None
    if _PYTHON.fullmatch(Path(executable).name):
        return Path(executable).absolute()
    with suppress(OSError), Path(executable).open("rb") as file:
        first = file.readline(_LONGEST_LINE).decode(errors="replace").split()
        if first and first[0].startswith("#!"):
            words = [first[0].removeprefix("#!"), *first[1:]]
            named = next((word for word in words if _PYTHON.fullmatch(Path(word).name)), "")
            where = shutil.which(named) if named else None
            return Path(where).absolute() if where else None
    return None


def _version(prefix: Path) -> str:
    """Return the version by pyvenv.cfg, else by the folder's name (major and minor only)."""
    with suppress(OSError):
        text = (prefix / "pyvenv.cfg").read_text(errors="replace")
        match = re.search(r"^version(?:_info)? *= *([\d.]+)", text, re.MULTILINE)
        if match:
            return match[1].rstrip(".")
    names = [path.name for path in prefix.glob("lib/python3.*") if path.is_dir()]
    return names[0].removeprefix("python") if len(names) == 1 else ""
