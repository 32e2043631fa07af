"""The types of elements: one name each, for all formats."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DType:
    """``block`` elements take ``size`` bytes. ``swap``: the width in bytes for byte order.

    ``meaning`` describes numbers that do not represent themselves, such as quantised ones. Two
    arrays with equal bytes and different meanings are not equal.
    """

    name: str
    size: int
    block: int = 1
    swap: int = 1
    meaning: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.meaning})" if self.meaning else self.name

    def bytes_of(self, count: int) -> int:
        """Return the bytes of ``count`` elements; a partial block counts as a whole one."""
        return -(-count // self.block) * self.size

    @property
    def packed(self) -> bool:
        """True if several elements share a block."""
        return self.block > 1


def _plain(name: str, size: int) -> DType:
    return DType(name, size, swap=size // 2 if name.startswith("complex") else size)


_BYTES = {
    "float16": 2, "float32": 4, "float64": 8, "bfloat16": 2,
    "complex32": 4, "complex64": 8, "complex128": 16,
    "int8": 1, "int16": 2, "int32": 4, "int64": 8,
    "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "qint8": 1, "quint8": 1, "qint32": 4, "bool": 1, "bits8": 1, "bits16": 2,
    "float8_e4m3fn": 1, "float8_e4m3fnuz": 1, "float8_e5m2": 1, "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
    # torch's: several elements in a byte, and the shape counts bytes.
    "float4_e2m1fn_x2": 1, "bits1x8": 1, "bits2x4": 1, "bits4x2": 1,
    # torch's: one element in a byte, of which it uses some bits.
    "int1": 1, "int2": 1, "int3": 1, "int4": 1, "int5": 1, "int6": 1, "int7": 1,
    "uint1": 1, "uint2": 1, "uint3": 1, "uint4": 1, "uint5": 1, "uint6": 1, "uint7": 1,
}  # fmt: skip
DTYPES = {name: _plain(name, size) for name, size in _BYTES.items()}
# torch's: several elements in a byte, and the shape counts elements.
DTYPES |= {"quint4x2": DType("quint4x2", 1, 2), "quint2x4": DType("quint2x4", 1, 4)}

# Name of a storage in torch's pickles -> type.
STORAGES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16",
    "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
    "Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128",
    "QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32",
    "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4", "Untyped": "uint8",
}  # fmt: skip

SAFETENSORS = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2", "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip
# Several elements in a block of bytes: the shape counts elements.
_SAFETENSORS_PACKED = {
    "F4": DType("float4_e2m1fn", 1, 2),
    "F6_E2M3": DType("float6_e2m3fn", 3, 4),
    "F6_E3M2": DType("float6_e3m2fn", 3, 4),
}

# Number -> name, elements of a block, bytes of a block.
_GGUF_BLOCKS = {
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    29: ("IQ1_M", 256, 56), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
_GGUF_PLAIN = {
    0: "float32", 1: "float16", 24: "int8", 25: "int16", 26: "int32", 27: "int64",
    28: "float64", 30: "bfloat16",
}  # fmt: skip

_NUMPY = re.compile(r"([<>|=])([biufc])(\d{1,2})")
_NUMPY_KINDS = {"i": "int", "u": "uint", "f": "float", "c": "complex"}


def of_storage(name: str) -> DType | None:
    """Return the type of a storage in torch's pickles, such as ``FloatStorage``."""
    return DTYPES.get(STORAGES.get(name.removesuffix("Storage"), ""))


def of_safetensors(name: str) -> DType | None:
    return _SAFETENSORS_PACKED.get(name) or DTYPES.get(SAFETENSORS.get(name, ""))


def of_gguf(number: int) -> DType | None:
    if number in _GGUF_BLOCKS:
        name, block, size = _GGUF_BLOCKS[number]
        return DType(name, size, block)
    return DTYPES.get(_GGUF_PLAIN.get(number, ""))


def of_numpy(text: str) -> tuple[DType, bool] | None:
    """Return the type of a NumPy string such as ``<f4``, and whether it is big-endian."""
    match = _NUMPY.fullmatch(text)
    if not match:
        return None
    order, kind, size = match.groups()
    name = "bool" if kind == "b" else f"{_NUMPY_KINDS[kind]}{int(size) * 8}"
    known = DTYPES.get(name)
    return (known, order == ">" and known.swap > 1) if known and known.size == int(size) else None
