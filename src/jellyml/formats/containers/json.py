"""Parse JSON of an untrusted file: what its objects take is charged before it is parsed."""

import json

from jellyml.budget import Kept

# Bytes that Python takes at most for a mark of each kind: a list, a dictionary with one entry, a
# further entry, a number in a list, one of the two quotes of a string.
_TAKEN = {b"[": 120, b"{": 240, b":": 100, b",": 48, b'"': 30}
_WIDEST = 4  # bytes of one character in a string that is not ASCII


def loads(text: bytes, kept: Kept) -> object:
    """Return the value. Raises ValueError, RecursionError; Exhausted before it takes too much."""
    width = 1 if text.isascii() else _WIDEST
    kept.add(2 * width * len(text) + sum(text.count(mark) * size for mark, size in _TAKEN.items()))
    kept.budget.make(len(text))
    value: object = json.loads(text)
    return value
