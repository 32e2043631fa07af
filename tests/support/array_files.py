"""Files of arrays put together byte by byte, for formats whose libraries are not at hand."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import torch

SAFETENSORS_NAMES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.uint8: "U8", torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3",
}  # fmt: skip


def bytes_of(tensor: torch.Tensor) -> bytes:
    """The elements in the order of their indices."""
    if not tensor.numel():
        return b""
    plain = tensor.detach().cpu().resolve_conj().contiguous().flatten()
    return bytes(plain.view(torch.uint8).numpy())


def flat(value: object, name: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a nested value, named by the path to it."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    found: dict[str, torch.Tensor] = {}
    for key, item in items:
        found |= flat(item, f"{name}.{key}" if name else str(key))
    return found


def safetensors(
    tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> bytes:
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    data = b""
    for name, tensor in tensors.items():
        piece = bytes_of(tensor)
        header[name] = {
            "dtype": SAFETENSORS_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(piece)],
        }
        data += piece
    return safetensors_of(json.dumps(header).encode(), data)


def safetensors_of(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf(
    tensors: Sequence[tuple[str, Sequence[int], int, bytes]],
    *,
    alignment: int = 32,
    count: int | None = None,
    facts: Sequence[bytes] = (),
) -> bytes:
    """Name, shape with the axis that changes fastest last, number of the type, bytes."""
    given = [
        _text("general.alignment") + struct.pack("<2I", 4, alignment),
        _text("tokens") + struct.pack("<2IQ", 9, 8, 2) + _text("a") + _text("bc"),
        _text("scores") + struct.pack("<2IQ3f", 9, 6, 3, 1, 2, 3),
        _text("flag") + struct.pack("<I?", 7, True),
        *facts,
    ]
    number = len(tensors) if count is None else count
    head = b"GGUF" + struct.pack("<I2Q", 3, number, len(given)) + b"".join(given)
    data = b""
    for name, shape, kind, content in tensors:
        data += bytes(-len(data) % alignment)
        axes = struct.pack(f"<{len(shape)}Q", *reversed(shape))
        place = struct.pack("<IQ", kind, len(data))
        head += _text(name) + struct.pack("<I", len(shape)) + axes + place
        data += content
    return head + bytes(-len(head) % alignment) + data
