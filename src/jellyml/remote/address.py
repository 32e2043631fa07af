"""Where a remote checkpoint lies. Its text, wherever it is shown or kept, holds no credentials."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from jellyml.errors import JellyError, NoSnapshot, UsageError
from jellyml.fs.paths import mode_of, path_of

if TYPE_CHECKING:
    from jellyml.remote.file import RemoteFile

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://", re.ASCII)
_HF = (
    r"hf://(?P<kind>datasets/|spaces/|models/)?(?P<repo>[^/@]+/[^/@]+)"
    r"(?:@(?P<rev>[^/]+))?/(?P<path>.+)"
)
_TORN = re.compile(r"\s*(https?|s3|gs|gcs|hf|az|abfss?|s?ftp|ssh):/", re.IGNORECASE)
# Between the steps of a path here: an address may write them as %2F.
_STEPS = re.compile(r"[/\\:\0]" if os.name == "nt" else r"[/\\\0]")
_HUB = "https://huggingface.co"

T = TypeVar("T")


@dataclass(frozen=True)
class Remote:
    """An address such as ``s3://bucket/model.pth``; opened once, so that nothing is read twice."""

    address: str = field(repr=False)
    _open: "list[RemoteFile]" = field(default_factory=list, repr=False, compare=False)
    _below: "dict[str, Remote]" = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        from jellyml.secrets.redact import mask_url  # late: most places are paths

        return mask_url(self.address)

    def __fspath__(self) -> str:
        """For messages: nothing here can be opened by it."""
        return str(self)

    @property
    def scheme(self) -> str:
        return self.address.partition("://")[0].lower()

    @property
    def name(self) -> str:
        """The last part of the path; files here are named after it, so it is one step of a path."""
        from urllib.parse import unquote

        place = str(self).partition("://")[2].rstrip("/")
        return _STEPS.split(unquote(place.rpartition("/")[2]))[-1] or _STEPS.sub("-", place)

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0] or self.name

    @property
    def is_http(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def url(self) -> str | None:
        """What HTTP is asked for; None where a file system of fsspec's knows the way."""
        if self.is_http:
            return self.address
        found = re.fullmatch(_HF, self.address)
        if not found:
            return None
        from urllib.parse import quote

        kind = "" if found["kind"] in (None, "models/") else found["kind"]
        revision = quote(found["rev"] or "main", safe="")
        return f"{_HUB}/{kind}{found['repo']}/resolve/{revision}/{quote(found['path'])}"

    @property
    def parent(self) -> "Remote":
        return Remote(self.address.rstrip("/").rpartition("/")[0])

    def lies_in(self, folder: str) -> bool:
        return self.address.startswith(f"{folder}/")

    def below(self, name: str) -> "Remote":
        """A file in the folder that this is; an address's query stays behind its path."""
        if name not in self._below:
            cut = self.address.partition("?") if self.is_http else (self.address, "", "")
            self._below[name] = Remote(f"{cut[0].rstrip('/')}/{name}{cut[1]}{cut[2]}")
        return self._below[name]

    def is_there(self) -> bool:
        """False where there is no such file; what else goes wrong is raised."""
        try:
            self.file()
        except NoSnapshot:
            return False
        return True

    def forget(self) -> None:
        """Drop what was fetched; it is asked for anew where it is needed again."""
        self._open.clear()
        self._below.clear()

    def file(self) -> "RemoteFile":
        """Raises NoSnapshot, JellyError."""
        if not self._open:
            from jellyml.remote.file import RemoteFile

            self._open.append(RemoteFile(self))
        return self._open[0]


Location: TypeAlias = Path | Remote


def place_of(text: "str | os.PathLike[str]") -> Location:
    """A path, or an address where it begins as one does."""
    if isinstance(text, Remote):
        return text
    if isinstance(text, str) and _SCHEME.match(text):
        return Remote(text)
    _refuse_torn(text)
    return path_of(text)


def _refuse_torn(text: "str | os.PathLike[str]") -> None:
    """What pathlib makes of an address: no message is to repeat what may be a password in it."""
    torn = _TORN.match(str(text))
    if torn and not mode_of(path_of(text)):
        raise UsageError(
            f"An address that begins with {torn[1]}:// was passed as a path.",
            f'pass it as text: "{torn[1]}://..."',
        )


def given_place(
    name: str,
    text: "str | os.PathLike[str]",
    given: Callable[[str, "str | os.PathLike[str]"], Path],
) -> Location:
    """The same; whatever is no address is for ``given`` to make absolute, or to refuse."""
    is_far = isinstance(text, Remote) or (isinstance(text, str) and _SCHEME.match(text))
    if is_far:
        return place_of(text)
    _refuse_torn(text)
    return given(name, text)


def missing(remote: Remote) -> NoSnapshot:
    return NoSnapshot(f"There is no file {remote}.", "check its name and folder.")


def forbidden(remote: Remote) -> JellyError:
    return JellyError(
        f"{remote} may not be read: access was refused.",
        "check the credentials that are set for it here, and what they allow.",
    )
