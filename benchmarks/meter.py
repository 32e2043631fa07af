"""Run commands one after another and print what they took.

A program of its own, and a small one: Linux counts the memory of the process that starts a
child as the child's own until the child's program is loaded. It imports nothing of JellyML.
"""

import json
import os
import sys
import time

# Linux counts in KiB, macOS in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> int:
    """Reads ``{"folder": ..., "commands": [[...], ...]}``; stops at the first that fails."""
    job = json.load(sys.stdin)
    os.chdir(job["folder"])
    nowhere = os.open(os.devnull, os.O_RDWR)
    quiet = [(os.POSIX_SPAWN_DUP2, nowhere, 0), (os.POSIX_SPAWN_DUP2, nowhere, 1)]
    memory = read = status = 0
    processors = 0.0
    began = time.perf_counter()
    for words in job["commands"]:
        child = os.posix_spawnp(words[0], words, os.environ, file_actions=quiet)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        read += _bytes_read(child)
        _, status, usage = os.wait4(child, 0)
        memory = max(memory, usage.ru_maxrss * _UNIT)
        processors += usage.ru_utime + usage.ru_stime
        if status:
            break
    took = time.perf_counter() - began
    answer = {"seconds": took, "processors": processors, "memory": memory, "read": read}
    print(json.dumps(answer | {"status": status}))
    return 0


def _bytes_read(child: int) -> int:
    """What an ended child and its own children read, whether from disk or page cache."""
    try:
        with open(f"/proc/{child}/io") as file:  # noqa: PTH123 - pathlib costs memory
            return int(file.readline().split()[1])
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
