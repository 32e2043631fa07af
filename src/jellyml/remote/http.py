"""Parts of a file by HTTP, with the standard library alone."""

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
_SLOWEST = 10_000  # bytes a second: a server that sends one now and then would never be done
# A server that knows no ranges sends the whole file: a small one is taken.
_WHOLE = 64 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_EMPTY = re.compile(r"bytes \*/0")


class Http:
    """One file. What an address holds of credentials goes to its own host only."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._url, self._authorization = _parted(remote)
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
        place, data, _ = self._get(f"bytes={start}-{stop - 1}", stop - start)
        return data[start - place : stop - place]  # of all, where the server sent all

    def _get(self, wanted: str, most: int) -> tuple[int, bytes, int]:
        request = urllib.request.Request(self._url)
        request.add_header("Range", wanted)
        request.add_header("Accept-Encoding", "identity")
        request.add_header("User-Agent", "jellyml")
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        with self._told(), self._opener.open(request, timeout=_SECONDS) as answer:
            if answer.status != HTTPStatus.PARTIAL_CONTENT:
                return self._all(answer)
            found = _RANGE.fullmatch(answer.headers.get("Content-Range") or "")
            if not found:
                raise self._no_parts()
            start, last, size = map(int, found.groups())
            if size != (self._size or size):
                raise JellyError(f"{self._remote} changed while it was read.", "try again.")
            self._size = size
            data = _bounded(answer, min(most, last + 1 - start))
            return start, data, size

    def _all(self, answer: HTTPResponse) -> tuple[int, bytes, int]:
        length = answer.headers.get("Content-Length") or ""
        if not length.isdecimal() or int(length) > _WHOLE:
            raise self._no_parts()
        self._whole = _bounded(answer, int(length))
        return 0, self._whole, len(self._whole)

    def _no_parts(self) -> JellyError:
        return JellyError(
            f"The server of {self._remote} does not send parts of a file.",
            "download the file first, then name it.",
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever goes wrong, without what a library would print of the address."""
        try:
            yield
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error)
        except urllib.error.URLError as error:
            raise self._unreachable(_reason(error.reason)) from None
        except (OSError, HTTPException, ValueError) as error:
            raise self._unreachable(_reason(error)) from None

    def _refused(self, error: urllib.error.HTTPError) -> NoReturn:
        if error.code == 416 and _EMPTY.fullmatch(error.headers.get("Content-Range") or ""):
            raise NoSnapshot(f"{self._remote} is empty.") from None
        if error.code in (404, 410):
            raise missing(self._remote) from None
        if error.code in (401, 403):
            raise forbidden(self._remote) from None
        raise self._unreachable(f"the server answered {error.code}") from None

    def _unreachable(self, why: str) -> JellyError:
        return JellyError(
            f"{self._remote} could not be read: {why}.", "check the address and try again."
        )


class _Misled(Exception):
    """What the server points to is not followed; the text is ours."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """As ever, but not from an encrypted connection to one that is not, and to HTTP alone."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.URLError(_Misled("it leads to an address that is not encrypted"))
        if not newurl.startswith(("http:", "https:")):
            raise urllib.error.URLError(_Misled("it leads to what is no web address"))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _parted(remote: Remote) -> tuple[str, str]:
    """The address without user and password, and what to say for them."""
    try:
        parts = urlsplit(remote.url or "")
    except ValueError:
        raise UsageError(f"{remote} is no address.", "check its spelling.") from None
    user, at, host = parts.netloc.rpartition("@")
    url = urlunsplit(parts._replace(netloc=host, fragment=""))
    if at:
        return url, f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    token = os.environ.get("HF_TOKEN", "") if remote.scheme == "hf" else ""
    return url, f"Bearer {token}" if token else ""


def _reason(error: object) -> str:
    """In the system's own words: those of a library may repeat the address."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    known = isinstance(error, _Misled) or (isinstance(error, OSError) and error.strerror)
    return str(error if isinstance(error, _Misled) else known) if known else type(error).__name__


def _bounded(answer: HTTPResponse, size: int) -> bytes:
    """At most ``size`` bytes, whatever the server goes on sending, and however slowly."""
    data = bytearray()
    until = time.monotonic() + _SECONDS + size / _SLOWEST
    while len(data) < size and (more := answer.read1(min(1 << 20, size - len(data)))):
        data += more
        if time.monotonic() > until:
            raise TimeoutError
    return bytes(data)
