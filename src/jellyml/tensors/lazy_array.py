"""An array that is not read: what it is called, what it is, where it lies."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from jellyml.tensors import layout, same
from jellyml.tensors.dtypes import DType
from jellyml.tensors.stretch import Stretch, Unreadable, swapped

if TYPE_CHECKING:
    import numpy

NOT_THERE = "its bytes are not in the file"  #: a flaw: cut off, or a header that lies
# Held whole where elements lie in another order than their indices in what is deflated.
_MOST_HELD = 16 << 20


@dataclass(frozen=True, slots=True, eq=False)
class LazyArray:
    """An array of a checkpoint. ``==`` and ``digest`` are exact; a tolerance there is nowhere.

    ``strides`` are in elements, None where the elements lie one behind the other in the order
    of their indices. ``flaw`` says why it cannot be read; everything that reads then raises.
    """

    name: str
    shape: tuple[int, ...]
    type: DType
    stretch: Stretch | None
    strides: tuple[int, ...] | None = None
    flaw: str = ""
    known_digest: str | None = field(default=None, repr=False)  # if it was made already

    __hash__ = None  # type: ignore[assignment]  # two that are equal need not be read alike

    def __repr__(self) -> str:
        return f"<LazyArray {self.name!r} {self.dtype} {self.shape}>"

    @property
    def dtype(self) -> str:
        """``float32``, ``bfloat16``, ``float8_e4m3fn``, ``Q4_K``, ..."""
        return self.type.name

    @property
    def size(self) -> int:
        """How many elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """What they take, each once, in bytes."""
        return self.type.bytes_of(self.size)

    def chunks(self) -> Iterator[bytes]:
        """The elements in the order of their indices, in little-endian bytes, some MB at a time.

        Raises Unreadable.
        """
        stretch = self.placed()
        if self.strides is None:
            yield from stretch.chunks()
        elif stretch.packed is not None:
            data = b"".join(stretch.chunks())
            yield from layout.pieces(
                lambda at, size: data[at : at + size], self.type.size, self.shape, self.strides
            )
        else:
            yield from self._strided(stretch, self.strides)

    def read(self) -> bytes:
        """All of ``chunks`` together."""
        return b"".join(self.chunks())

    @property
    def digest(self) -> str:
        """SHA-256 of what ``chunks`` gives, in 64 digits; read once. Raises Unreadable."""
        if self.known_digest is None:
            made = hashlib.sha256()
            for chunk in self.chunks():
                made.update(chunk)
            object.__setattr__(self, "known_digest", made.hexdigest())
        assert self.known_digest
        return self.known_digest

    def __eq__(self, other: object) -> bool:
        """Whether shape, type and every bit are the same; read only where that has to be."""
        if not isinstance(other, LazyArray):
            return NotImplemented
        return same.same(self, other)

    def numpy(self) -> "numpy.ndarray[Any, Any]":
        """The array for numpy: a view of the file where it can be mapped. Extra ``weights``.

        Raises Unreadable, and JellyError for a type that numpy has not.
        """
        from jellyml.tensors.as_numpy import array

        return array(self)

    def placed(self) -> Stretch:
        """Where the bytes lie. Raises Unreadable where they cannot be had."""
        if self.stretch is None or self.flaw:
            raise Unreadable(
                f"The array {self.name!r} cannot be read: {self.flaw or 'it is empty'}."
            )
        if self.strides is not None and self.stretch.packed and self.stretch.size > _MOST_HELD:
            raise Unreadable(f"The array {self.name!r} is a compressed view, and large.")
        return self.stretch

    def _strided(self, stretch: Stretch, strides: tuple[int, ...]) -> Iterator[bytes]:
        with stretch.open() as file:
            for piece in layout.pieces(
                lambda at, size: stretch.read(file, at, size), self.type.size, self.shape, strides
            ):
                yield swapped(piece, stretch.swap) if stretch.swap > 1 else piece
