"""Read ranges of a file through fsspec: s3, gs, az, hf, ..."""

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
    """A file in a file system of fsspec."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._system, self._path = file_system(remote)

    def first(self, size: int, *, tail: bool) -> tuple[int, bytes, int]:
        with suppress(Exception):  # the calls below raise an error that every file system has
            return self._range_and_size(f"bytes=-{size}" if tail else f"bytes=0-{size - 1}")
        with explain_errors(self._remote):
            facts = self._system.info(self._path)
            if facts.get("type") == "directory":
                raise IsADirectoryError
            total = int(facts["size"])
            start = max(0, total - size) if tail else 0
        if not total:
            raise NoSnapshot(f"{self._remote} is empty.")
        return start, self.read(start, min(total, start + size)), total

    def _range_and_size(self, header: str) -> tuple[int, bytes, int]:
        """Return a range and the file's size from one request. Only S3 can do this."""
        from fsspec.asyn import sync

        system: Any = self._system
        bucket, key, version = system.split_path(self._path)
        arguments = {"Bucket": bucket, "Key": key, "Range": header} | (
            {"VersionId": version} if version else {}
        )

        async def request() -> tuple[str, bytes]:
            answer = await system._call_s3("get_object", **arguments)
            return answer["ContentRange"], await answer["Body"].read()

        content_range, data = sync(system.loop, request)
        start, size = map(int, re.findall(r"\d+", content_range)[::2])  # bytes 10-19/20
        return start, data, size

    def read(self, start: int, stop: int) -> bytes:
        with explain_errors(self._remote):
            return bytes(self._system.cat_file(self._path, start=start, end=stop))


def file_system(remote: Remote) -> "tuple[AbstractFileSystem, str]":
    """Return the file system and the path in it. Raises JellyError if a package is missing."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise JellyError(
            f"Reading {remote.scheme}:// needs fsspec, which is not installed here.",
            "pip install 'jellyml[remote]'",
        ) from None
    with explain_errors(remote):
        system, path = url_to_fs(remote.address)
    return system, str(path)


def files_below(remote: Remote) -> Iterator[tuple[Remote, int]]:
    """Yield all files below a folder with their sizes, sorted by name."""
    system, path = file_system(remote)
    with explain_errors(remote):
        files: dict[str, dict[str, Any]] = system.find(path, detail=True)
    for name, facts in sorted(files.items()):
        yield Remote(f"{remote.scheme}://{name.lstrip('/')}"), int(facts.get("size") or 0)


@contextmanager
def explain_errors(remote: Remote) -> Iterator[None]:
    """Convert errors of any library to JellyError. Their texts are dropped: they may hold keys."""
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
    except Exception as error:  # noqa: BLE001 (libraries raise any class)
        raise _error(remote, error) from None


def _error(remote: Remote, error: Exception) -> JellyError:
    """Return an error that names only the class: the text may hold keys and signed URLs."""
    kind = type(error).__name__
    if isinstance(error, ValueError) and "rotocol" in str(error):
        return JellyError(
            f"{remote.scheme}:// is not an address that can be read.",
            "use s3://, gs://, hf:// or https://.",
        )
    if "Credentials" in kind:
        return JellyError(
            f"{remote} could not be read: no credentials are set for it here.",
            "set them as for any other program that reads it (for S3: aws configure).",
        )
    return JellyError(f"{remote} could not be read ({kind}).", "check the address and try again.")
