"""The manifest of a recorded run: it is of the command, not of the process that records it."""

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
    """The snapshot, its manifest saying how ``command`` was started, and in which environment.

    Where that cannot be told without running it, it is left out.
    """
    told = serialization.parse_manifest(snapshot.manifest)
    for name in _OUR_PROCESS:
        told.pop(name, None)
    section = {
        "argv": list(command),
        "launched": list(command),
        "script": None,
        "module": None,
        "cwd": Manifest(told).command.get("cwd"),
    }
    told["command"] = redact_tree(section, {"argv": "arguments", "launched": "arguments"})
    told["recorded"] = True
    told |= _environment(command[0], root)
    facts = CodeFacts(root, snapshot.commit, error=snapshot.error, left_out=snapshot.left_out)
    return Snapshot(snapshot.filling, serialization.manifest_record(told), facts)


def _environment(program: str, root: Path) -> dict[str, object]:
    interpreter = _interpreter(program)
    if interpreter is None:
        return {}
    prefix = interpreter.parent.parent
    if prefix == Path(sys.prefix):
        python, places = environment.python(), None
    else:
        version = _version(prefix)
        if not version:
            return {}
        python = {"version": version}
        places = [*prefix.glob("lib/python3*/site-packages"), prefix / "Lib" / "site-packages"]
    found = environment.distributions(root, None if places is None else map(str, places))
    return {"python": python, "distributions": found}


def _interpreter(program: str) -> Path | None:
    """The Python that a program is, or that its first line names. It is not started."""
    found = shutil.which(program)
    if found is None:
        return None
    if _PYTHON.fullmatch(Path(found).name):
        return Path(found).absolute()
    with suppress(OSError), Path(found).open("rb") as file:
        first = file.readline(_LONGEST_LINE).decode(errors="replace").split()
        if first and first[0].startswith("#!"):
            words = [first[0].removeprefix("#!"), *first[1:]]
            named = next((word for word in words if _PYTHON.fullmatch(Path(word).name)), "")
            where = shutil.which(named) if named else None
            return Path(where).absolute() if where else None
    return None


def _version(prefix: Path) -> str:
    """Of a virtual environment, whose file says it; of any other, as far as its folder's name."""
    with suppress(OSError):
        text = (prefix / "pyvenv.cfg").read_text(errors="replace")
        said = re.search(r"^version(?:_info)? *= *([\d.]+)", text, re.MULTILINE)
        if said:
            return said[1].rstrip(".")
    names = [path.name for path in prefix.glob("lib/python3.*") if path.is_dir()]
    return names[0].removeprefix("python") if len(names) == 1 else ""
