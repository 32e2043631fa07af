"""Acting as a user who may not do everything, where the tests run as root, who may."""

import os
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

ID = 65534


def given(place: Path) -> None:
    """``place`` is nobody's from now on, and nobody can come to it."""
    top = Path(tempfile.gettempdir())
    if top.stat().st_mode & 0o003 != 0o003:
        pytest.skip(f"{top} is closed to other users")
    for parent in place.parents:
        if top in parent.parents:
            parent.chmod(parent.stat().st_mode | 0o055)
    subprocess.run(["chown", "-R", f"{ID}:{ID}", str(place)], check=True)


def as_nobody(places: tuple[Path, ...], act: Callable[[], str]) -> str:
    """What ``act`` says, in a child that owns ``places`` and is nobody else.

    Its temporary folder is the first of them. An error is said as its ``repr``.
    """
    if os.getuid() == 0:
        for place in places:
            given(place)
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork, Python 3.12
        child = os.fork()
    if not child:
        try:
            tempfile.tempdir = str(places[0])
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(ID)
                os.setuid(ID)
            os.write(writer, os.fsencode(act()))
        except BaseException as error:  # noqa: BLE001 - told to the test
            os.write(writer, os.fsencode(repr(error)))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        said = os.fsdecode(answer.read())
    os.waitpid(child, 0)
    return said
