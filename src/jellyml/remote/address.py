"""The address of a remote checkpoint. Its text never contains credentials."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from jellyml.errors import JellyError, NoSnapshot, UsageError
from jellyml.fs.paths import mode_of, path_of

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://", re.ASCII)
_HF = (
    r"hf://(?P<kind>datasets/|spaces/|models/)?(?P<repo>[^/@]+/[^/@]+)"
    r"(?:@(?P<rev>[^/]+))?/(?P<path>.+)"
)
# ``pathlib`` makes one slash of two.
_BROKEN = re.compile(r"\s*(https?|s3|gs|gcs|hf|az|abfss?|s?ftp|ssh):/", re.IGNORECASE)
# The separators of local paths; an address may contain them as %2F.
_SEPARATORS = re.compile(r"[/\\:\0]" if os.name == "nt" else r"[/\\\0]")
_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Remote:
    """An address such as ``s3://bucket/model.pth``."""

    address: str = field(repr=False)

    def __str__(self) -> str:
        from jellyml.secrets.redact import mask_url  # late: most locations are paths

        return mask_url(self.address)

    def __fspath__(self) -> str:
        """Return the text for messages. It cannot be opened as a path."""
        return str(self)

    @property
    def scheme(self) -> str:
        return self.address.partition("://")[0].lower()

    @property
    def name(self) -> str:
        """Return the last part of the path. It is safe as a file name."""
        from urllib.parse import unquote

        path = str(self).partition("://")[2].rstrip("/")
        return _SEPARATORS.split(unquote(path.rpartition("/")[2]))[-1] or _SEPARATORS.sub("-", path)

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0] or self.name

    @property
    def is_http(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def url(self) -> str | None:
        """Return the URL to read by HTTP; None for a scheme that fsspec reads."""
        if self.is_http:
            return self.address
        match = re.fullmatch(_HF, self.address)
        if not match:
            return None
        from urllib.parse import quote

        kind = "" if match["kind"] in (None, "models/") else match["kind"]
        revision = quote(match["rev"] or "main", safe="")
        return f"{_HUB}/{kind}{match['repo']}/resolve/{revision}/{quote(match['path'])}"

    @property
    def parent(self) -> "Remote":
        return Remote(self.address.rstrip("/").rpartition("/")[0])

    def is_in(self, folder: str) -> bool:
        return self.address.startswith(f"{folder}/")

    def __truediv__(self, name: str) -> "Remote":
        """Return the address of a file in this folder. The query of a URL is retained."""
        path, mark, query = self.address.partition("?") if self.is_http else (self.address, "", "")
        return Remote(f"{path.rstrip('/')}/{name}{mark}{query}")


Location: TypeAlias = Path | Remote


def parse_location(text: "str | os.PathLike[str]") -> Location:
    """Return an address for text that begins with a scheme, else a path. Raises UsageError."""
    return _remote(text) or path_of(text)


def parse_argument(
    name: str,
    text: "str | os.PathLike[str]",
    parse_path: Callable[[str, "str | os.PathLike[str]"], Path],
) -> Location:
    """Do the same for an argument called ``name``; ``parse_path`` returns its path."""
    return _remote(text) or parse_path(name, text)


def _remote(text: "str | os.PathLike[str]") -> Remote | None:
    """Return the address, None for a path.

    Raises UsageError for an address that went through pathlib. Every message about such a path
    would repeat the password in it.
    """
    if isinstance(text, Remote):
        return text
    if isinstance(text, str) and _SCHEME.match(text):
        return Remote(text)
    broken = _BROKEN.match(str(text))
    if broken and not mode_of(path_of(text)):
        raise UsageError(
            f"An address that begins with {broken[1]}:// was passed as a path.",
            f'pass it as text: "{broken[1]}://..."',
        )
    return None


def missing(remote: Remote) -> NoSnapshot:
    return NoSnapshot(f"There is no file {remote}.", "check its name and folder.")


def forbidden(remote: Remote) -> JellyError:
    return JellyError(
        f"{remote} may not be read: access was refused.",
        "check the credentials that are set for it here, and what they allow.",
    )
