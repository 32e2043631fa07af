"""Read ranges of a file by HTTP, with the standard library."""

import base64
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

from jellyml.errors import JellyError, NoSnapshot, UsageError
from jellyml.remote.address import Remote, forbidden, missing

_SECONDS = 60.0
_SLOWEST = 10_000  # bytes a second; a slower server never finishes
# A server without ranges sends the whole file, which is accepted up to this size.
_WHOLE = 64 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_EMPTY = re.compile(r"bytes \*/0")


class Http:
    """A file on a server. Credentials in the address are sent to its host only."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._url, self._authorization = _split_credentials(remote)
        self._whole: bytes | None = None
        self._size: int | None = None
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            _Redirects(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)

    def first(self, size: int, *, tail: bool) -> tuple[int, bytes, int]:
        return self._get(f"bytes=-{size}" if tail else f"bytes=0-{size - 1}", size)

    def read(self, start: int, stop: int) -> bytes:
        if self._whole is not None:
            return self._whole[start:stop]
        offset, data, _ = self._get(f"bytes={start}-{stop - 1}", stop - start)
        return data[start - offset : stop - offset]  # a server without ranges sends the whole file

    def _get(self, header: str, size: int) -> tuple[int, bytes, int]:
        request = urllib.request.Request(self._url)
        request.add_header("Range", header)
        request.add_header("Accept-Encoding", "identity")
        request.add_header("User-Agent", "jellyml")
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        with self._explain_errors(), self._opener.open(request, timeout=_SECONDS) as answer:
            if answer.status != HTTPStatus.PARTIAL_CONTENT:
                return self._whole_file(answer)
            content_range = _RANGE.fullmatch(answer.headers.get("Content-Range") or "")
            if not content_range:
                raise self._no_ranges()
            start, last, total = map(int, content_range.groups())
            if total != (self._size or total):
                raise JellyError(f"{self._remote} changed while it was read.", "try again.")
            self._size = total
            return start, _read_body(answer, min(size, last + 1 - start)), total

    def _whole_file(self, answer: HTTPResponse) -> tuple[int, bytes, int]:
        length = answer.headers.get("Content-Length") or ""
        if not length.isdecimal() or int(length) > _WHOLE:
            raise self._no_ranges()
        self._whole = _read_body(answer, int(length))
        return 0, self._whole, len(self._whole)

    def _no_ranges(self) -> JellyError:
        return JellyError(
            f"The server of {self._remote} does not send parts of a file.",
            "download the file first, then name it.",
        )

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        """Convert all errors to JellyError. The address is shown without credentials."""
        try:
            yield
        except urllib.error.HTTPError as error:
            with error:
                self._raise_for_status(error)
        except urllib.error.URLError as error:
            raise self._unreachable(_reason(error.reason)) from None
        except (OSError, HTTPException, ValueError) as error:
            raise self._unreachable(_reason(error)) from None

    def _raise_for_status(self, error: urllib.error.HTTPError) -> NoReturn:
        if error.code == 416 and _EMPTY.fullmatch(error.headers.get("Content-Range") or ""):
            raise NoSnapshot(f"{self._remote} is empty.") from None
        if error.code in (404, 410):
            raise missing(self._remote) from None
        if error.code in (401, 403):
            raise forbidden(self._remote) from None
        raise self._unreachable(f"the server answered {error.code}") from None

    def _unreachable(self, reason: str) -> JellyError:
        return JellyError(
            f"{self._remote} could not be read: {reason}.", "check the address and try again."
        )


class _BadRedirect(Exception):
    """The redirect is not followed. Its text is safe to show."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to HTTP and HTTPS only, and none from HTTPS to HTTP."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.URLError(
                _BadRedirect("it redirects to an address that is not encrypted")
            )
        if not newurl.startswith(("http:", "https:")):
            raise urllib.error.URLError(_BadRedirect("it redirects to an address that is not HTTP"))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _split_credentials(remote: Remote) -> tuple[str, str]:
    """Return the URL without user and password, and the Authorization header for them."""
    try:
        parts = urlsplit(remote.url or "")
    except ValueError:
        raise UsageError(f"{remote} is not a valid address.", "check its spelling.") from None
    user, at, host = parts.netloc.rpartition("@")
    url = urlunsplit(parts._replace(netloc=host, fragment=""))
    if at:
        return url, f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    token = os.environ.get("HF_TOKEN", "") if remote.scheme == "hf" else ""
    return url, f"Bearer {token}" if token else ""


def _reason(error: object) -> str:
    """Return the system's reason. The text of a library may repeat the address."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, _BadRedirect):
        return str(error)
    reason = error.strerror if isinstance(error, OSError) else None
    return str(reason or type(error).__name__)


def _read_body(answer: HTTPResponse, size: int) -> bytes:
    """Return at most ``size`` bytes. Raises TimeoutError if the server is too slow."""
    data = bytearray()
    deadline = time.monotonic() + _SECONDS + size / _SLOWEST
    while len(data) < size and (more := answer.read1(min(1 << 20, size - len(data)))):
        data += more
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(data)
