"""Run jellyml many times without starting Python anew: fork from a process that has imported it.

Reads one request a line (JSON: folder, environment, words, output, strace), runs it and answers
with its status. Strace is attached before the first line of the command runs, and so counts the
command's own calls, and not the thousands that imports make.
"""

import atexit
import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from typing import NoReturn

import jellyml

_SET_PTRACER = 0x59616D61  # linux/prctl.h
_ANYBODY = ctypes.c_ulong(-1)


def serve() -> None:
    for module in pkgutil.walk_packages(jellyml.__path__, "jellyml."):
        if "__main__" not in module.name and "integrations" not in module.name:
            with contextlib.suppress(ImportError):  # of an extra that is not installed
                importlib.import_module(module.name)
    for line in sys.stdin:
        sys.stdout.write(f"{_run(json.loads(line))}\n")
        sys.stdout.flush()


def _run(asked: dict[str, str]) -> int:
    ready, go = os.pipe()
    waiting, prepared = os.pipe()
    child = os.fork()
    if not child:
        os.close(go)
        os.close(waiting)
        _become(asked, ready, prepared)
    os.close(ready)
    os.close(prepared)
    os.read(waiting, 1)  # until it has closed its end: what it does before is not the command's
    os.close(waiting)
    tracer = _attached(child, asked["strace"]) if asked["strace"] else None
    os.close(go)
    _, status = os.waitpid(child, 0)
    if tracer:
        tracer.communicate()
    return os.waitstatus_to_exitcode(status)


def _attached(child: int, options: str) -> "subprocess.Popen[bytes]":
    words = [*json.loads(options), "-p", str(child)]
    tracer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert tracer.stderr
    said = tracer.stderr.readline()  # it is stopped by now, and goes on under strace
    if b"attached" not in said:
        raise RuntimeError(said)
    return tracer


def _become(asked: dict[str, str], ready: int, prepared: int) -> NoReturn:
    """The command itself: its folder, environment and output; then as ``python -m jellyml``."""
    ctypes.CDLL(None).prctl(_SET_PTRACER, _ANYBODY, 0, 0, 0)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(json.loads(asked["environment"]))
    output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(source, target)
    for descriptor in range(3, 64):
        if descriptor not in (ready, prepared):
            with contextlib.suppress(OSError):
                os.close(descriptor)
    sys.argv = ["jellyml", *json.loads(asked["words"])]
    signal.alarm(120)  # a command that hangs is one that fails
    os.close(prepared)
    os.read(ready, 1)  # until the other end is closed
    os.close(ready)
    status = 0
    try:
        runpy.run_module("jellyml", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python would
        traceback.print_exc()
        status = 1
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve()
