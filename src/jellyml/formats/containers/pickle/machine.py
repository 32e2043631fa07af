"""Find the tensors saved under a key by walking a pickle's opcodes, without running it.

A pickle is a program for a machine with a stack and a memo. This machine moves both like the real
one, but tracks only the values between a key and its bytes: short strings, numbers, names of
types, short tuples, byte storages, tensors. Any other value is ``None``. Only strings and numbers
are hashed, and steps, stack and memo are bounded, so no pickle can make it slow or large. Its
result is a hint: the caller checks the bytes.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, overload

from jellyml.budget import Budget

_MOST_REMEMBERED = 100_000
_MOST_HITS = 1_000
_LONGEST_TUPLE = 8
_CHARGED = 1 << 10  # opcodes that are charged at a time


@dataclass(frozen=True, slots=True)
class Tensor:
    """A contiguous one-dimensional uint8 tensor: ``size`` bytes at ``offset`` of a storage."""

    storage: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Global:
    name: str  # "module name"


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str


class Program(Protocol):
    """The bytes of a pickle: ``bytes``, or a ``Window`` of a file."""

    @overload
    def __getitem__(self, place: int, /) -> int: ...
    @overload
    def __getitem__(self, place: slice, /) -> bytes: ...
    def index(self, part: bytes, start: int, /) -> int: ...


def tensors(pickle: bytes, key: str, budget: Budget | None = None) -> list[Tensor]:
    """Return the tensors under ``key`` in any dictionary, the outermost first, then the last.

    A pickle that is cut off, or has an unknown opcode, returns the tensors before that point.
    Raises Exhausted.
    """
    machine = Machine(pickle, key, budget)
    with contextlib.suppress(IndexError, KeyError, ValueError):
        machine.run()
    last_first = reversed(machine.hits)
    return [tensor for _, tensor in sorted(last_first, key=lambda hit: hit[0])]


class Machine:
    """The walk. Its values are strings, numbers, short tuples, the records above, and ``None``."""

    most_steps: ClassVar[int] = 2_000_000  # about 50,000 tensors
    deepest: ClassVar[int] = 20_000
    longest_text: ClassVar[int] = 24  # JellyML's keys, storage numbers, ``torch``, ``ByteStorage``
    # No pickle refers to a number or a tuple again.
    remembered_types: ClassVar[tuple[type, ...]] = (str, Global, Tensor)

    def __init__(self, pickle: Program, key: str, budget: Budget | None = None) -> None:
        self.plain: Mapping[int, tuple[int, int, int]] = PLAIN
        self.actions: Mapping[int, Callable[[Any], object]] = ACTIONS
        self.pickle = pickle
        self.key = key
        self.budget = budget or Budget.of_library()
        self.at = 0
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}
        self.memorised: int = 0
        self.hits: list[tuple[int, Tensor]] = []  # with the number of enclosing dictionaries

    def run(self) -> None:
        stack, plains, actions = self.stack, self.plain, self.actions
        for step in range(self.most_steps):
            if step % _CHARGED == 0:
                self.budget.step(_CHARGED)
            opcode = self.pickle[self.at]
            self.at += 1
            if opcode == STOP or len(stack) + len(self.marks) > self.deepest:
                return
            if plain := plains.get(opcode):
                argument, popped, pushed = plain
                self.at += argument
                if popped:
                    del stack[-popped:]
                if pushed:
                    stack.append(None)
            else:
                actions[opcode](self)

    # Reading the argument of an opcode.

    def take(self, size: int) -> bytes:
        start = self.at
        self.at += size
        return self.pickle[start : self.at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def line(self) -> bytes:
        start = self.at
        self.at = self.pickle.index(b"\n", start) + 1
        return self.pickle[start : self.at - 1]

    def integer_line(self) -> int:
        line = self.line().rstrip(b"L")
        return int(line) if len(line) <= self.longest_text else -1  # neither a size nor an index

    # What the opcodes do.

    def push(self, value: object) -> None:
        self.stack.append(value)

    def push_integer(self, size: int) -> None:
        number = int.from_bytes(self.take(min(size, 9)), "little", signed=True)
        self.at += max(0, size - 9)
        self.push(number if size <= 8 else None)

    def push_counted(self, width: int, *, text: bool) -> None:
        size = self.number(width)
        if text and size <= self.longest_text:
            self.push(self.take(size).decode(errors="replace"))
        else:
            self.at += size
            self.push(None)

    def push_text_line(self) -> None:
        line = self.line().strip(b"'\"")
        self.push(line.decode(errors="replace") if len(line) <= self.longest_text else None)

    def push_line(self) -> None:
        self.line()
        self.push(None)

    def push_integer_line(self) -> None:
        self.push(self.integer_line())

    def push_global(self, module: object, name: object) -> None:
        known = isinstance(module, str) and isinstance(name, str)
        self.push(Global(f"{module} {name}") if known else None)

    def push_global_lines(self) -> None:
        self.push_text_line()
        self.push_text_line()
        self.stack_global()

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.push_global(module, name)

    def instance(self) -> None:
        self.line()
        self.line()
        self.replace_marked()

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def marked(self) -> list[object]:
        """Remove and return everything above the last mark, and remove the mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def replace_marked(self) -> None:
        self.marked()
        self.push(None)

    def pop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def tuple_of(self, size: int) -> None:
        items = self.stack[-size:]
        del self.stack[-size:]
        self.push(_short_tuple(items))

    def set_items(self, items: list[object]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=False):
            if key == self.key and isinstance(value, Tensor) and len(self.hits) < _MOST_HITS:
                self.hits.append((len(self.marks), value))

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def dictionary(self) -> None:
        self.set_items(self.marked())
        self.push(None)

    def put(self, index: int) -> None:
        self.memorised += 1
        value = self.stack[-1]
        # A missing value reads as None.
        if isinstance(value, self.remembered_types) and len(self.memo) < _MOST_REMEMBERED:
            self.memo[index] = value
        else:
            self.memo.pop(index, None)

    def get(self, index: int) -> None:
        self.push(self.memo.get(index))

    def storage(self) -> None:
        match self.stack.pop():
            case ("storage", Global("torch ByteStorage"), str(key), *_):
                self.push(_Storage(key))
            case _:
                self.push(None)

    def call(self) -> None:
        """Push a tensor if the arguments are those of one. No function is called."""
        arguments = self.stack.pop()
        self.stack.pop()
        match arguments:
            case (_Storage(key), int(offset), (int(size),), (1,), *_):
                self.push(Tensor(key, offset, size))
            case (Tensor() as tensor, *_):  # a Parameter around it
                self.push(tensor)
            case _:
                self.push(None)


def _short_tuple(items: list[object]) -> object:
    """Return a tuple no longer or deeper than a tensor's arguments; None for a longer one."""
    if len(items) > _LONGEST_TUPLE:
        return None
    return tuple(item if _plain_enough(item) else None for item in items)


def _plain_enough(item: object) -> bool:
    return not isinstance(item, tuple) or (len(item) == 1 and not isinstance(item[0], tuple))


STOP = ord(".")

# Opcode -> bytes of its argument, values it pops, values it pushes.
PLAIN = {
    0x80: (1, 0, 0),  # PROTO
    0x95: (8, 0, 0),  # FRAME
    0x98: (0, 0, 0),  # READONLY_BUFFER
    0x97: (0, 0, 1),  # NEXT_BUFFER
    0x82: (1, 0, 1),  # EXT1
    0x83: (2, 0, 1),  # EXT2
    0x84: (4, 0, 1),  # EXT4
    0x88: (0, 0, 1),  # NEWTRUE
    0x89: (0, 0, 1),  # NEWFALSE
    0x8F: (0, 0, 1),  # EMPTY_SET
    ord("N"): (0, 0, 1),  # NONE
    ord("}"): (0, 0, 1),  # EMPTY_DICT
    ord("]"): (0, 0, 1),  # EMPTY_LIST
    ord("G"): (8, 0, 1),  # BINFLOAT
    ord("a"): (0, 1, 0),  # APPEND
    ord("b"): (0, 1, 0),  # BUILD
    0x81: (0, 2, 1),  # NEWOBJ
    0x92: (0, 3, 1),  # NEWOBJ_EX
}

ACTIONS: dict[int, Callable[[Machine], object]] = {
    ord("K"): lambda m: m.push(m.number(1)),  # BININT1
    ord("M"): lambda m: m.push(m.number(2)),  # BININT2
    ord("J"): lambda m: m.push_integer(4),  # BININT
    0x8A: lambda m: m.push_integer(m.number(1)),  # LONG1
    0x8B: lambda m: m.push_integer(m.number(4)),  # LONG4
    ord("I"): Machine.push_integer_line,  # INT
    ord("L"): Machine.push_integer_line,  # LONG
    ord("S"): Machine.push_text_line,  # STRING
    ord("V"): Machine.push_text_line,  # UNICODE
    ord("F"): Machine.push_line,  # FLOAT
    ord("P"): Machine.push_line,  # PERSID
    ord("X"): lambda m: m.push_counted(4, text=True),  # BINUNICODE
    0x8C: lambda m: m.push_counted(1, text=True),  # SHORT_BINUNICODE
    0x8D: lambda m: m.push_counted(8, text=True),  # BINUNICODE8
    ord("T"): lambda m: m.push_counted(4, text=True),  # BINSTRING
    ord("U"): lambda m: m.push_counted(1, text=True),  # SHORT_BINSTRING
    ord("B"): lambda m: m.push_counted(4, text=False),  # BINBYTES
    ord("C"): lambda m: m.push_counted(1, text=False),  # SHORT_BINBYTES
    0x8E: lambda m: m.push_counted(8, text=False),  # BINBYTES8
    0x96: lambda m: m.push_counted(8, text=False),  # BYTEARRAY8
    ord("("): Machine.mark,  # MARK
    ord("0"): Machine.pop,  # POP
    ord("1"): Machine.marked,  # POP_MARK
    ord("2"): lambda m: m.push(m.stack[-1]),  # DUP
    ord(")"): lambda m: m.push(()),  # EMPTY_TUPLE
    0x85: lambda m: m.tuple_of(1),  # TUPLE1
    0x86: lambda m: m.tuple_of(2),  # TUPLE2
    0x87: lambda m: m.tuple_of(3),  # TUPLE3
    ord("t"): lambda m: m.push(_short_tuple(m.marked())),  # TUPLE
    ord("l"): Machine.replace_marked,  # LIST
    0x91: Machine.replace_marked,  # FROZENSET
    ord("o"): Machine.replace_marked,  # OBJ
    ord("i"): Machine.instance,  # INST
    ord("e"): Machine.marked,  # APPENDS
    0x90: Machine.marked,  # ADDITEMS
    ord("d"): Machine.dictionary,  # DICT
    ord("s"): Machine.set_item,  # SETITEM
    ord("u"): lambda m: m.set_items(m.marked()),  # SETITEMS
    ord("c"): Machine.push_global_lines,  # GLOBAL
    0x93: Machine.stack_global,  # STACK_GLOBAL
    ord("p"): lambda m: m.put(m.integer_line()),  # PUT
    ord("q"): lambda m: m.put(m.number(1)),  # BINPUT
    ord("r"): lambda m: m.put(m.number(4)),  # LONG_BINPUT
    0x94: lambda m: m.put(m.memorised),  # MEMOIZE
    ord("g"): lambda m: m.get(m.integer_line()),  # GET
    ord("h"): lambda m: m.get(m.number(1)),  # BINGET
    ord("j"): lambda m: m.get(m.number(4)),  # LONG_BINGET
    ord("Q"): Machine.storage,  # BINPERSID
    ord("R"): Machine.call,  # REDUCE
}
