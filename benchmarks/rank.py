"""One of several processes of a job: gets ready, waits for the word, takes a snapshot."""

import json
import resource
import sys
import time

import jellyml


def main() -> int:
    """Says ``ready``; at a line on stdin captures; prints what that took, and when."""
    jellyml.create_snapshot()  # everything is imported, as in a job that is under way
    print("ready", flush=True)
    sys.stdin.readline()
    began, before = time.monotonic(), _computed()
    snapshot = jellyml.create_snapshot()
    ended, after = time.monotonic(), _computed()
    answer = {"began": began, "ended": ended, "processors": after - before}
    print(json.dumps(answer | {"commit": snapshot.commit}))
    return 0


def _computed() -> float:
    """What this process and its ended children have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    sys.exit(main())
