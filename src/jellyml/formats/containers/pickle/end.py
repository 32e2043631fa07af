"""Find the end of a pickle in a file without running it, also of joblib's with raw arrays.

Bytes may be appended to a pickle only if nothing follows it in its file: a program that wrote
several pickles reads until the end of the file.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

from jellyml.errors import CannotCarry
from jellyml.formats.containers.pickle.machine import ACTIONS, PLAIN, STOP, Global, Machine
from jellyml.formats.containers.pickle.window import Window
from jellyml.formats.source import budget_of

_WRAPPER = Global("joblib.numpy_pickle NumpyArrayWrapper")
_DTYPE = Global("numpy dtype")
_TYPE = re.compile(r"([biufcmMSUV])(\d{1,9})")
_OBJECTS = re.compile(r"O\d?")
_HAS_OBJECTS = 1
_DEEPEST_NESTING = 3
_LONGEST_STATE = 20


def end_of(file: BinaryIO, start: int = 0) -> int:
    """Return the offset after the pickle at ``start``.

    Raise CannotCarry if the pickle has no end, or the walk cannot reach it.
    """
    walk = _Walk(file, start, 0)
    try:
        walk.run()
        # A complete pickle leaves one value; otherwise the walk stopped at a limit.
        if walk.at and walk.pickle[walk.at - 1] == STOP and len(walk.stack) == 1:
            return walk.at
    except (IndexError, KeyError, ValueError):
        pass
    raise CannotCarry("The end of its pickle cannot be determined.")


@dataclass(slots=True, eq=False)
class _Type:
    """A numpy dtype: bytes of an element, and whether the elements are Python objects.

    ``objects`` of a structured dtype is None until its state is read.
    """

    itemsize: int
    objects: bool | None


@dataclass(frozen=True, slots=True)
class _Array:
    """joblib's wrapper of an array: the array's bytes follow its state."""


class _Walk(Machine):
    most_steps: ClassVar[int] = 5_000_000  # takes some seconds
    deepest: ClassVar[int] = 200_000  # items of one tuple
    longest_text: ClassVar[int] = 40
    remembered_types: ClassVar[tuple[type, ...]] = (str, Global, tuple, _Type)

    def __init__(self, file: BinaryIO, start: int, nesting: int) -> None:
        super().__init__(Window(file), "", budget_of(file))
        self.file = file
        self.nesting = nesting
        self.at = start
        own = {0x81: _Walk.new, ord("b"): _Walk.build, ord("R"): _Walk.call}
        self.plain = {opcode: does for opcode, does in PLAIN.items() if opcode not in own}
        self.actions = {**ACTIONS, **own}

    def set_items(self, items: list[object]) -> None:
        """Keep the state of an array on the stack, as a dictionary."""
        if len(items) <= _LONGEST_STATE and "allow_mmap" in items:
            pairs = zip(items[::2], items[1::2], strict=False)
            self.stack[-1] = {name: value for name, value in pairs if isinstance(name, str)}

    def new(self) -> None:
        self.stack.pop()
        kind = self.stack.pop()
        self.push(_Array() if kind == _WRAPPER else None)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        match arguments:
            case (name, *_) if function == _DTYPE:
                self.push(_type(name))
            case _:
                self.push(None)

    def build(self) -> None:
        state, built = self.stack.pop(), self.stack[-1]
        if isinstance(built, _Array):
            self.pass_array(state if isinstance(state, dict) else {})
        elif isinstance(built, _Type) and built.objects is None:
            match state:
                case (_, _, _, _, _, _, _, int(flags)):
                    built.objects = bool(flags & _HAS_OBJECTS)

    def pass_array(self, state: dict[object, object]) -> None:
        kind, shape = state["dtype"], state["shape"]
        if not isinstance(kind, _Type) or kind.objects is None or not isinstance(shape, tuple):
            raise ValueError("an array of unknown size")
        if kind.objects:
            self.pass_objects()
            return
        if "numpy_array_alignment_bytes" in state:
            self.at += 1 + self.pickle[self.at]
        self.at += kind.itemsize * _count(shape)

    def pass_objects(self) -> None:
        """Skip an array of objects, which is a separate pickle."""
        if self.nesting == _DEEPEST_NESTING:
            raise ValueError("nested too deeply")
        inner = _Walk(self.file, self.at, self.nesting + 1)
        inner.run()
        if inner.pickle[inner.at - 1] != STOP:
            raise ValueError("a pickle without end")
        self.at = inner.at


def _type(name: object) -> _Type | None:
    if not isinstance(name, str):
        return None
    if _OBJECTS.fullmatch(name):
        return _Type(0, objects=True)
    known = _TYPE.fullmatch(name)
    if not known:
        return None
    size = int(known[2]) * (4 if known[1] == "U" else 1)
    return _Type(size, objects=None if known[1] == "V" else False)


def _count(shape: Sequence[object]) -> int:
    sizes = [size for size in shape if isinstance(size, int) and 0 <= size < 1 << 48]
    if len(sizes) < len(shape):
        raise ValueError("a shape of something else")
    return math.prod(sizes)
