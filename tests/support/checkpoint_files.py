"""Checkpoint files to try things on: real ones, and odd ones put together byte by byte."""

import functools
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from conftest import DATE
from jellyml.formats.record import KEY
from jellyml.snapshot import serialization

FIXTURES = Path(__file__).parents[1] / "fixtures"


@functools.cache
def bundle() -> bytes:
    """What ``git bundle create - HEAD`` makes of a small repository, the same in every process."""
    dated = os.environ | dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), DATE)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text("print('two')\n" * 40)
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "one")):
            subprocess.run(["git", *command], cwd=folder, env=dated, check=True)
        made = ["git", "bundle", "create", "-q", "-", "HEAD"]
        return subprocess.run(made, cwd=folder, check=True, capture_output=True).stdout


def our_filling(data: bytes | None = None) -> bytes:
    data = bundle() if data is None else data
    return serialization.header(data, commit="1" * 40) + data


def header_with(**fields: object) -> bytes:
    """A header as JellyML 1.0 wrote it, but for these fields; None leaves one out."""
    given = {
        "magic_number": "jelly_ml_snapshot",
        "snapshot_offset": 1024,
        "snapshot_size": len(bundle()),
        "version": "january-7-2023",
    } | fields
    kept = {name: value for name, value in given.items() if value is not None}
    return json.dumps(kept).encode().ljust(1024, b"\0")


def old_filling() -> bytes:
    return header_with() + bundle()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tensor(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def saved(value: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def model() -> dict[str, torch.Tensor]:
    return {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(3)}


def checkpoint(**more: object) -> bytes:
    """What the five lines of the tutorial save."""
    return saved({"model": model(), KEY: tensor(our_filling()), **more})


def repacked(archive: bytes, *, without: Iterable[str] = (), deflate: bool = False) -> bytes:
    """The same records as another program, or an older torch, would lay them out."""
    file = io.BytesIO()
    packing = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(file, "w", packing) as new:
        for name in old.namelist():
            if name.partition("/")[2] not in without:
                new.writestr(name, old.read(name))
    return file.getvalue()


@dataclass
class Member:
    """One record of an archive, with whatever its headers are to claim."""

    name: str
    data: bytes = b""
    deflate: bool = False
    claims: dict[str, int] | None = None  # packed, unpacked, offset, flags, method
    zip64: bool = False
    at: int | None = None  # where the local header lies already: nothing is written

    def local(self) -> bytes:
        name = self.name.encode()
        head = struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, 0, 8 * self.deflate, 0, 0, 0, 0, 0, len(name), 0
        )
        return head + name + self.packed()

    def packed(self) -> bytes:
        if not self.deflate:
            return self.data
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(self.data) + packer.flush()

    def central(self, offset: int) -> bytes:
        name = self.name.encode()
        claims = {
            "packed": len(self.packed()),
            "unpacked": len(self.data),
            "offset": offset if self.at is None else self.at,
            "flags": 0,
            "method": 8 * self.deflate,
        } | (self.claims or {})
        packed, unpacked, start = (claims[each] for each in ("packed", "unpacked", "offset"))
        crc, extra = zlib.crc32(self.data), b""
        if self.zip64:
            extra = struct.pack("<2H3Q", 1, 24, unpacked, packed, start)
            packed = unpacked = start = 0xFFFFFFFF
        return (
            struct.pack("<4s6H", b"PK\1\2", 20, 20, claims["flags"], claims["method"], 0, 0)
            + struct.pack(
                "<3L5H2L", crc, packed, unpacked, len(name), len(extra), 0, 0, 0, 0, start
            )
            + name
            + extra
        )


def archive(*members: Member, **claims: int) -> bytes:
    """An archive of these records, with whatever its end is to claim."""
    data, directory = bytearray(), bytearray()
    for member in members:
        directory += member.central(len(data))
        if member.at is None:
            data += member.local()
    told = {"count": len(members), "size": len(directory), "start": len(data)} | claims
    return bytes(data + directory) + end(**told)


def end(count: int, size: int, start: int) -> bytes:
    small = min(count, 0xFFFF)
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, small, small, size, start, 0)


def appended(old: bytes, name: str, data: bytes, *, deflate: bool = False) -> bytes:
    """The file with one more record and a new directory behind its last byte."""
    at = old.rindex(b"PK\5\6")
    count, _, _, start = struct.unpack_from("<2H2L", old, at + 8)
    stop = at - 76 if old[at - 20 : at - 16] == b"PK\6\7" else at
    entries = old[start:stop]
    member = Member(name, data, deflate)
    new_start = len(old) + len(member.local())
    directory = entries + member.central(len(old))
    return old + member.local() + directory + end(count + 1, len(directory), new_start)


class Counting(io.BytesIO):
    """An open file that counts the bytes and the times it is read."""

    taken = 0
    times = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        self.times += 1
        return data


_OPEN_ALONE = """
import json, sys, time
from pathlib import Path
from jellyml.checkpoint import Checkpoint
from jellyml.errors import JellyError
start, told = time.perf_counter(), {"error": ""}
try:
    told["size"] = sum(map(len, Checkpoint.open(Path(sys.argv[1])).bundle()))
except JellyError as error:
    told |= {"error": type(error).__name__, "problem": error.problem}
told["seconds"] = time.perf_counter() - start
status = Path("/proc/self/status")
told["peak"] = status.read_text().split("VmHWM:")[1].split()[0] if status.exists() else 0
told["heavy"] = [name for name in ("torch", "numpy", "pickle", "zipfile") if name in sys.modules]
print(json.dumps(told))
"""


@dataclass(frozen=True)
class Outcome:
    """What came of opening a checkpoint, and what it cost a process that did nothing else.

    ``megabytes`` is 0 where the system does not say.
    """

    size: int | None
    error: str
    problem: str
    seconds: float
    megabytes: float
    heavy: list[str]


def opened_alone(path: Path) -> Outcome:
    source = Path(serialization.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _OPEN_ALONE, str(path)],
        env=os.environ | {"PYTHONPATH": str(source)},
        capture_output=True,
        check=True,
    )
    told = json.loads(done.stdout)
    return Outcome(
        size=told.get("size"),
        error=told["error"],
        problem=told.get("problem", ""),
        seconds=told["seconds"],
        megabytes=int(told["peak"]) / 1024,
        heavy=told["heavy"],
    )
