"""Code out of a large checkpoint in S3 (moto's server, on loopback): requests and bytes."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.line import Check, Line, compared
from benchmarks.measure import inside, interleaved
from benchmarks.rows import loading
from jellyml.checkpoint import Checkpoint
from jellyml.checkpoint.bounded_file import Sources
from jellyml.remote.address import Remote

name = "remote"

TENSORS = 200
SIZE, QUICK_SIZE = 1 << 30, 1 << 26
REQUESTS = 3
BEYOND = 256e3  # bytes
_NEEDED = ("s3fs", "moto", "boto3")
_ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "user",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def lines(bench: Bench) -> Iterator[Line]:
    size = QUICK_SIZE if bench.quick else SIZE
    what, state = f"code out of a .pth in S3, {TENSORS} tensors", f"{size / (1 << 30):g} GB"
    missing = [one for one in _NEEDED if not util.find_spec(one)]
    if missing and bench.quick:
        return
    with bench.project(100 if bench.quick else 5_000, dirty=True) as project:
        if missing:
            yield Line(what, state=state, why=f"{missing[0]} is not installed")
        elif shutil.disk_usage(project).free < 3 * size:
            yield Line(what, state=state, why="too little space on the disk")
        else:
            model = project.parent / "model.pth"
            loading.save(project, model, size, TENSORS)
            with _served(model) as remote:
                yield _fetching(bench, model, remote, what, state)


def _fetching(bench: Bench, model: Path, remote: Remote, what: str, state: str) -> Line:
    here = Checkpoint.open(model)
    own = here.filling_size + len(here.records()[1])
    counted: list[tuple[int, int]] = []

    def fetch() -> None:
        sources = Sources()
        _read(Checkpoint.open(remote, sources=sources))
        file = sources.fetch(remote)
        counted.append((file.requests, file.fetched))

    taken = interleaved(
        {"ours": inside(fetch), "theirs": inside(lambda: _read(Checkpoint.open(model)))},
        bench.runs(),
    )
    requests, fetched = map(max, zip(*counted, strict=True))
    checks = (
        Check("asks S3", requests, REQUESTS, "times"),
        Check("fetches beyond it", fetched - own, BEYOND, "bytes"),
    )
    return compared(what, "from the same file here", taken, *checks, state=state)


def _read(checkpoint: Checkpoint) -> None:
    """The code and the manifest, every byte of them."""
    assert checkpoint.manifest
    for _ in checkpoint.bundle():
        pass


@contextmanager
def _served(model: Path) -> Iterator[Remote]:
    import logging

    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        os.environ |= _ACCOUNT | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
        bucket = boto3.resource("s3").Bucket("models")
        bucket.create()
        bucket.upload_file(str(model), "run/model.pth")
        yield Remote("s3://models/run/model.pth")
    finally:
        server.stop()
