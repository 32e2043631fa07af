"""Parts of a file by whatever file system of fsspec's knows its scheme: s3, gs, az, hf, ..."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from jellyml.errors import JellyError, NoSnapshot
from jellyml.remote.address import Remote, forbidden, missing

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_INSTALLED_BY = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub"}
_INSTALLED_BY |= {"az": "adlfs", "abfs": "adlfs", "sftp": "paramiko", "ssh": "paramiko"}


class FileSystem:
    """One file."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._system, self._path = opened(remote)

    def first(self, size: int, *, tail: bool) -> tuple[int, bytes, int]:
        with suppress(Exception):  # what is wrong shows below, in words that all systems have
            return self._with_size(f"bytes=-{size}" if tail else f"bytes=0-{size - 1}")
        with told(self._remote):
            facts = self._system.info(self._path)
            if facts.get("type") == "directory":
                raise IsADirectoryError
            total = int(facts["size"])
            start = max(0, total - size) if tail else 0
        if not total:
            raise NoSnapshot(f"{self._remote} is empty.")
        return start, self.read(start, min(total, start + size)), total

    def _with_size(self, wanted: str) -> tuple[int, bytes, int]:
        """A range, and the file's size that S3 says beside it: it need not be asked first."""
        from fsspec.asyn import sync

        system: Any = self._system
        bucket, key, version = system.split_path(self._path)
        words = {"Bucket": bucket, "Key": key, "Range": wanted} | (
            {"VersionId": version} if version else {}
        )

        async def asked() -> tuple[str, bytes]:
            answer = await system._call_s3("get_object", **words)
            return answer["ContentRange"], await answer["Body"].read()

        place, data = sync(system.loop, asked)
        start, size = map(int, re.findall(r"\d+", place)[::2])  # bytes 10-19/20
        return start, data, size

    def read(self, start: int, stop: int) -> bytes:
        with told(self._remote):
            return bytes(self._system.cat_file(self._path, start=start, end=stop))


def opened(remote: Remote) -> "tuple[AbstractFileSystem, str]":
    """The file system, and the path in it. JellyError names what is to be installed."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise JellyError(
            f"Reading {remote.scheme}:// needs fsspec, which is not installed here.",
            "pip install 'jellyml[remote]'",
        ) from None
    with told(remote):
        system, path = url_to_fs(remote.address)
    return system, str(path)


def files_below(remote: Remote) -> Iterator[tuple[Remote, int]]:
    """The files of a folder and those below it, with their sizes, in the order of their names."""
    system, path = opened(remote)
    with told(remote):
        found: dict[str, dict[str, Any]] = system.find(path, detail=True)
    for name, facts in sorted(found.items()):
        yield Remote(f"{remote.scheme}://{name.lstrip('/')}"), int(facts.get("size") or 0)


def is_folder(remote: Remote) -> bool:
    system, path = opened(remote)
    with told(remote):
        return bool(system.isdir(path))


@contextmanager
def told(remote: Remote) -> Iterator[None]:
    """Errors of any library's making, as ours; what they say of an address is not repeated."""
    try:
        yield
    except JellyError:
        raise
    except IsADirectoryError:
        raise NoSnapshot(f"{remote} is a folder.", "name a file in it.") from None
    except FileNotFoundError:
        raise missing(remote) from None
    except PermissionError:
        raise forbidden(remote) from None
    except ImportError:
        package = _INSTALLED_BY.get(remote.scheme)
        fix = "pip install 'jellyml[remote]'" if package == "s3fs" else f"pip install {package}"
        raise JellyError(
            f"{remote.scheme}:// needs a package that is not installed here.",
            fix if package else "see fsspec's documentation for which.",
        ) from None
    except Exception as error:  # noqa: BLE001 (of any library's making)
        raise _failed(remote, error) from None


def _failed(remote: Remote, error: Exception) -> JellyError:
    """The kind of error alone: its text may hold keys and signed addresses."""
    kind = type(error).__name__
    if isinstance(error, ValueError) and "rotocol" in str(error):
        return JellyError(
            f"{remote.scheme}:// is no address that can be read.",
            "use s3://, gs://, hf:// or https://.",
        )
    if "Credentials" in kind:
        return JellyError(
            f"{remote} could not be read: no credentials are set for it here.",
            "set them as for any other program that reads it (for S3: aws configure).",
        )
    return JellyError(f"{remote} could not be read ({kind}).", "check the address and try again.")
