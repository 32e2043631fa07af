"""A web server on loopback that sends parts of files, or does not, and counts what it was asked."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Server:
    """``files`` by their paths. ``asked`` is each request's method and range, as it came."""

    files: dict[str, bytes]
    address: str = ""
    ranges: bool = True
    user: str = ""  # who has to say so: user:password
    moved: dict[str, str] = field(default_factory=dict)  # path -> where it leads
    status: int = 0  # answered to everything
    asked: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # each request's Authorization
    sent: int = 0

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


@contextmanager
def serving(files: dict[str, bytes], **more: object) -> Iterator[Server]:
    server = Server(files, **more)  # type: ignore[arg-type]
    handler = type("Handler", (_Handler,), {"answers": server})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.address = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


class _Handler(BaseHTTPRequestHandler):
    answers: Server

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(self.path.partition("?")[0]).lstrip("/")
        wanted = self.headers.get("Range", "")
        self.answers.asked.append((self.command, wanted))
        self.answers.said.append(self.headers.get("Authorization", ""))
        expected = f"Basic {base64.b64encode(self.answers.user.encode()).decode()}"
        if self.answers.status:
            self._head(self.answers.status)
        elif path in self.answers.moved:
            self._head(302, Location=self.answers.moved[path])
        elif self.answers.user and self.answers.said[-1] != expected:
            self._head(401)
        elif path not in self.answers.files:
            self._head(404)
        else:
            self._send(self.answers.files[path], wanted, body=body)

    def _send(self, data: bytes, wanted: str, *, body: bool) -> None:
        size = len(data)
        if self.answers.ranges and wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, size - int(last))
            stop = min(size, int(last) + 1) if first and last else size
            if start >= size:
                self._head(416, Content_Range=f"bytes */{size}")
                return
            data = data[start:stop]
            self._head(
                206, Content_Range=f"bytes {start}-{stop - 1}/{size}",
                Content_Length=str(len(data)),
            )  # fmt: skip
        else:
            self._head(200, Content_Length=str(size))
        if body:
            self.answers.sent += len(data)
            self.wfile.write(data)

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", "0")
        self.end_headers()
