"""Damage a file in the ways that a stranger may: bits, numbers, pieces moved and repeated."""

import os
import random
import time
from collections.abc import Iterator

_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)


def mutated(data: bytes, seed: int) -> bytes:
    """Return the same with some changes; the seed decides which."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 20))):
        _change(changed, chance)
    return bytes(changed)


def _change(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data) + 1)
    stop = min(len(data), start + int(chance.expovariate(1 / 20)))
    piece = bytes(data[start:stop])
    match chance.randrange(7):
        case 0 if start < len(data):
            data[start] ^= 1 << chance.randrange(8)
        case 1 if start < len(data):
            data[start] = chance.randrange(256)
        case 2:
            width = chance.choice((1, 2, 4, 8))
            number = chance.choice(_NUMBERS) & ((1 << 8 * width) - 1)
            data[start : start + width] = number.to_bytes(width, chance.choice(("little", "big")))
        case 3:
            del data[start:stop]
        case 4:
            data[start:start] = piece * chance.choice((1, 2, 10, 1000))
        case 5:
            other = chance.randrange(len(data) + 1)
            data[other : other + len(piece)] = piece
        case 6 if chance.random() < 0.1:
            del data[start:]


def seeds(seconds: float) -> Iterator[int]:
    """Yield new seeds for as long; ``FUZZ_SEED`` is the only one if it is set."""
    if fixed := os.environ.get("FUZZ_SEED"):
        yield int(fixed)
        return
    first, end = random.randrange(1 << 32), time.monotonic() + seconds
    while time.monotonic() < end:
        yield first
        first += 1
