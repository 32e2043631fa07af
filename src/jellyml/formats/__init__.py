"""The kinds of checkpoint file, one module each, in the order in which they are asked.

To all of them what they look for is opaque bytes: they know no git, open no path, run no
pickle, and believe nothing that the file says of itself.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

from jellyml.formats import scan, torch_zip
from jellyml.formats.record import Kind, Record

__all__ = ["CODE", "FORMATS", "KEY", "MANIFEST", "MANIFEST_KEY", "Format", "Kind", "Record"]

KEY = "jellyml_code_snapshot"
MANIFEST_KEY = "jellyml_manifest"
CODE = Kind(KEY, b'{"magic_number": "jelly_ml_snapshot"')
MANIFEST = Kind(MANIFEST_KEY, b'{"magic_number": "jelly_ml_manifest"')


class Format(Protocol):
    """What a format module provides.

    ``records`` gives the places where one of this kind may lie, the likeliest first. None of
    them is proved, and one may come twice.
    """

    @property
    def name(self) -> str: ...
    def recognises(self, file: BinaryIO) -> bool: ...
    def records(self, file: BinaryIO, kind: Kind) -> Iterator[Record]: ...


# The scan recognises anything, so it is last.
FORMATS: Sequence[Format] = (torch_zip, scan)
