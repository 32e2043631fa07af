"""One of several processes of a job: gets ready, waits for the word, takes a snapshot."""

import json
import sys
import time

import jellyml


def main() -> int:
    """Says ``ready``; at a line on stdin captures; prints when it began and ended."""
    jellyml.create_snapshot()  # everything is imported, as in a job that is under way
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    snapshot = jellyml.create_snapshot()
    ended = time.monotonic()
    print(json.dumps({"began": began, "ended": ended, "commit": snapshot.commit}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
