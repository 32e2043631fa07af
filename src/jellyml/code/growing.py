"""A filling that grows while git packs its bundle: hashed on the way, and never copied."""

import hashlib
import io

from jellyml.code import filling


class Growing:
    """Room for a header, and behind it a bundle as it comes."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._file.write(bytes(filling.HEADER_SIZE))
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        """Bytes of bundle so far."""
        return self._file.tell() - filling.HEADER_SIZE

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)

    def finished(
        self, *, commit: str, stands_for: str | None = None, object_format: str | None = None
    ) -> bytes:
        """The filling, whose bundle's ``HEAD`` is ``commit``. Nothing can be written after it."""
        head = filling.header_of(
            self.size,
            self._digest.hexdigest(),
            commit=commit,
            stands_for=stands_for,
            object_format=object_format,
        )
        self._file.seek(0)
        self._file.write(head)
        return self._file.getvalue()
