"""Arrays for numpy (extra ``weights``): views of the file, and values of every type."""

import threading
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jellyml.errors import JellyError
from jellyml.formats.source import LocalFile
from jellyml.tensors.strides import extent

if TYPE_CHECKING:
    import numpy

    from jellyml.tensors.lazy_array import LazyArray

    Array = numpy.ndarray[Any, Any]

_NATIVE = {
    *("float16", "float32", "float64", "complex64", "complex128", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
}
# Type that numpy lacks -> type with the same bytes.
_STAND_IN = {"qint8": "int8", "quint8": "uint8", "qint32": "int32"} | {
    f"{sign}int{bits}": f"{sign}int8" for sign in ("", "u") for bits in range(1, 8)
}


class _Float8:
    """A float of 8 bits: exponent bits, bias; ``fnuz``: the only NaN replaces minus zero."""

    def __init__(self, exponent: int, bias: int, *, infinite: bool = False, fnuz: bool = False):
        self.mantissa = 7 - exponent
        self.bias = bias
        self.top = (1 << exponent) - 1
        self.infinite = infinite
        self.fnuz = fnuz

    def value(self, byte: int) -> float:
        sign = -1.0 if byte & 0x80 else 1.0
        bits = byte & 0x7F
        exponent, fraction = bits >> self.mantissa, bits & ((1 << self.mantissa) - 1)
        if self.fnuz and byte == 0x80:
            return float("nan")
        if self.infinite and exponent == self.top:
            return float("nan") if fraction else sign * float("inf")
        if not self.fnuz and not self.infinite and bits == 0x7F:
            return float("nan")
        if exponent == 0:
            return sign * fraction * 2.0 ** (1 - self.bias - self.mantissa)
        return sign * (1 + fraction / (1 << self.mantissa)) * 2.0 ** (exponent - self.bias)


_FLOATS_8 = {
    "float8_e4m3fn": _Float8(4, 7),
    "float8_e4m3fnuz": _Float8(4, 8, fnuz=True),
    "float8_e5m2": _Float8(5, 15, infinite=True),
    "float8_e5m2fnuz": _Float8(5, 16, fnuz=True),
}


def is_here() -> bool:
    """Return True if numpy is installed, without importing it."""
    from importlib.util import find_spec

    return find_spec("numpy") is not None


def prepare() -> None:
    """Import numpy in a thread, if it is installed."""
    if is_here():
        threading.Thread(target=import_module, args=("numpy",), daemon=True).start()


def has_numbers(dtype: str) -> bool:
    """Return True if ``numbers`` supports the type; it supports no packed type."""
    known = _NATIVE | set(_STAND_IN) | set(_FLOATS_8) | {"bfloat16", "float8_e8m0fnu"}
    return dtype in known


def numbers(data: bytes | bytearray, dtype: str) -> "Array":
    """Return little-endian elements as float64 or complex128."""
    import numpy

    if dtype == "bfloat16":
        wide = numpy.frombuffer(data, "<u2").astype("<u4") << 16
        return wide.view("<f4").astype("f8")
    if dtype in _FLOATS_8 or dtype == "float8_e8m0fnu":
        values: Array = _table(dtype)[numpy.frombuffer(data, "u1")]
        return values
    plain = numpy.frombuffer(data, numpy.dtype(_STAND_IN.get(dtype, dtype)).newbyteorder("<"))
    return plain.astype("c16" if dtype.startswith("complex") else "f8")


def array(lazy: "LazyArray") -> "Array":
    """See ``LazyArray.numpy``."""
    try:
        import numpy
    except ImportError:
        raise JellyError(
            "numpy is not installed, so the array cannot be converted.",
            "pip install 'jellyml[weights]'",
        ) from None
    kind = _dtype(lazy)
    if lazy.size == 0:
        return numpy.empty(lazy.shape, kind)
    stretch = lazy.placed()
    if not stretch.plain or not isinstance(stretch.source, LocalFile):
        return numpy.frombuffer(lazy.read(), kind).reshape(lazy.shape)
    strides = lazy.strides
    count = lazy.size if strides is None else extent(lazy.shape, strides)
    # A plain array: every array derived from a memmap would be a memmap.
    mapped = numpy.memmap(stretch.source.path, kind, "r", stretch.offset, (count,))
    flat = numpy.frombuffer(mapped, kind)
    if strides is None:
        return flat.reshape(lazy.shape)
    steps = [step * kind.itemsize for step in strides]
    return numpy.ndarray(lazy.shape, kind, flat, strides=steps)


@lru_cache
def _table(dtype: str) -> "Array":
    import numpy

    if dtype == "float8_e8m0fnu":
        values = [2.0 ** (byte - 127) for byte in range(255)] + [float("nan")]
    else:
        values = [_FLOATS_8[dtype].value(byte) for byte in range(256)]
    return numpy.array(values)


def _dtype(lazy: "LazyArray") -> "numpy.dtype[Any]":
    import numpy

    name = _STAND_IN.get(lazy.dtype, lazy.dtype)
    if name in _NATIVE:
        return numpy.dtype(name).newbyteorder("<")
    if lazy.type.packed:
        raise JellyError(f"numpy has no type {lazy.dtype}: read its bytes with chunks() or read().")
    try:
        known: object = getattr(import_module("ml_dtypes"), name)
        return numpy.dtype(known)  # type: ignore[call-overload,no-any-return]
    except ImportError:
        fix = "pip install 'jellyml[weights]'"
        raise JellyError(f"numpy has no type {lazy.dtype} without ml_dtypes.", fix) from None
    except AttributeError:
        raise JellyError(f"Neither numpy nor ml_dtypes has a type {lazy.dtype}.") from None
