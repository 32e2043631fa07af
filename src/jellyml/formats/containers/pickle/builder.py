"""Read the tensors in a pickle without running it.

The ``Machine`` of ``pickle.machine``, with dictionaries, lists and objects as nodes. No class is
imported and no function is called: their names tell what the result would be.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from jellyml.budget import Kept
from jellyml.formats.containers.pickle.machine import ACTIONS, PLAIN, STOP, Global, Machine, Program
from jellyml.formats.containers.pickle.objects import (
    ITEM,
    LONGEST_NAME,
    NODE,
    Node,
    Row,
    Storage,
    Tensor,
    TooMuch,
    row_of,
)

_MOST_REMEMBERED = 500_000
_LARGEST_INDEX = 4_000_000
_MOST_AXES = 64
_MOST_ARGUMENTS = 64  # of a call that rebuilds a tensor
# Bytes that a tensor with its shape takes, and a place in the memo.
_TENSOR, _SLOT = 400, 9
_LARGEST = 1 << 48
_FLOAT = struct.Struct(">d")
_REBUILDS = ("torch._utils _rebuild_tensor", "torch._utils _rebuild_qtensor")
# Wrappers of a tensor, which add nothing to it.
_WRAPPERS = ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state")


def read(pickle: Program, kept: Kept, start: int = 0) -> tuple[object, int]:
    """Return the object of the pickle, and the offset after it.

    What the object takes in memory is added to ``kept``. Raise TooMuch if the pickle is damaged
    or exceeds the limits, Exhausted.
    """
    machine = _Builder(pickle, kept, start)
    machine.run_to_end()
    return machine.stack[-1], machine.at


def texts(pickle: Program, kept: Kept, start: int) -> tuple[list[str], int]:
    """Return the strings in a pickled list, and the offset after the pickle. Raise TooMuch."""
    machine = _Texts(pickle, kept, start)
    machine.run_to_end()
    return machine.strings, machine.at


class _Builder(Machine):
    most_steps: ClassVar[int] = 10_000_000
    deepest: ClassVar[int] = 100_000
    longest_text: ClassVar[int] = LONGEST_NAME
    remembered_types: ClassVar[tuple[type, ...]] = (str, Global, Node, Tensor, Storage)

    def __init__(self, pickle: Program, kept: Kept, start: int) -> None:
        super().__init__(pickle, "", kept.budget)
        self.kept = kept
        self.at = start
        self.remembered: list[object] = []  # by index, from 0
        self.count = 0
        self.plain: Mapping[int, tuple[int, int, int]] = _PLAIN
        self.actions: Mapping[int, Callable[[Any], object]] = _ACTIONS

    def run_to_end(self) -> None:
        try:
            self.run()
            if self.pickle[self.at - 1] == STOP and self.stack:
                return
        except (IndexError, KeyError, ValueError, OverflowError):
            pass
        raise TooMuch("Its pickle is damaged, or is not that of a checkpoint.")

    def put(self, index: int) -> None:
        """Store the top of the stack, except tuples that are only arguments of the next call."""
        self.memorised += 1
        value = self.stack[-1]
        if isinstance(value, Row):
            worth = value.has_arrays and self.pickle[self.at] != ord("R")
        else:
            worth = isinstance(value, self.remembered_types)
        self.count += worth
        if self.count > _MOST_REMEMBERED or not 0 <= index < _LARGEST_INDEX:
            raise ValueError("more than can be remembered")
        known = self.remembered
        if index >= len(known):
            self.kept.add(_SLOT * (index + 1 - len(known)))
            known.extend([None] * (index + 1 - len(known)))
        known[index] = value if worth else None

    def get(self, index: int) -> None:
        self.stack.append(self.remembered[index])

    def tuple_of(self, size: int) -> None:
        items = self.stack[-size:]
        del self.stack[-size:]
        self.stack.append(row_of(items))

    def node(self) -> None:
        self.stack.append(self.new_node())

    def new_node(self) -> Node:
        self.kept.add(NODE)
        return Node()

    def set_items(self, items: list[object]) -> None:
        if isinstance(target := self.stack[-1], Node):
            for name, value in zip(items[::2], items[1::2], strict=False):
                self.put_in(target, name, value)

    def put_in(self, target: Node, name: object, value: object) -> None:
        if isinstance(value, Row) and not value.has_node:
            self.kept.add(NODE + ITEM * len(value))
        if isinstance(value, Node | Tensor | Storage | Row):
            self.kept.add(ITEM)
        target.put(name, value)

    def dictionary(self) -> None:
        items = self.marked()
        self.node()
        self.set_items(items)

    def replace_marked(self) -> None:
        """Replace the marked items by a node: a list, or an object of any class."""
        items = self.marked()
        self.node()
        self.add(items)

    def append(self) -> None:
        self.add([self.stack.pop()])

    def appends(self) -> None:
        self.add(self.marked())

    def add(self, items: list[object]) -> None:
        if isinstance(target := self.stack[-1], Node):
            for item in items:
                self.put_in(target, target.count, item)

    def build(self) -> None:
        """Add an object's attributes, which may be in two parts."""
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, Node):
            return
        parts = state if isinstance(state, Row) else (state,)
        self.budget.step(len(parts))  # the same tuple may be the state of many objects
        for part in parts:
            # Referenced, not copied: a node that contains itself would double each time.
            self.put_in(target, "", part)

    def new(self) -> None:
        arguments = self.stack.pop()
        self.stack.pop()
        self.kept.add(NODE)
        self.stack.append(_node_of(arguments))

    def new_with_words(self) -> None:
        self.stack.pop()
        self.new()

    def floating(self) -> None:
        data = self.take(_FLOAT.size)
        if len(data) < _FLOAT.size:
            raise ValueError("it breaks off")
        self.stack.append(_FLOAT.unpack(data)[0])

    def storage(self) -> None:
        match self.stack.pop():
            case ("storage", Global(name), str(key), _, int(count), *more):
                # Before torch 0.4 a storage could be a part of another; its bytes are unknown.
                known = not any(isinstance(each, tuple) for each in more)
                self.stack.append(Storage(key if known else "", name.partition(" ")[2], count))
            case _:
                self.stack.append(None)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        name = function.name if isinstance(function, Global) else ""
        result = _called(name, arguments)
        self.kept.add(_TENSOR if isinstance(result, Tensor) else NODE)
        self.stack.append(result)


class _Texts(_Builder):
    """Collects the strings of all lists."""

    def __init__(self, pickle: Program, kept: Kept, start: int) -> None:
        super().__init__(pickle, kept, start)
        self.strings: list[str] = []

    def add(self, items: list[object]) -> None:
        self.strings += [item for item in items if isinstance(item, str)]


def _called(name: str, arguments: object) -> object:
    if isinstance(arguments, Row) and len(arguments) > _MOST_ARGUMENTS:
        return _node_of(arguments)
    match arguments:
        case (Storage() as storage, int(offset), tuple(shape), tuple(strides), *rest) if (
            name.startswith(_REBUILDS)
        ):
            built = _tensor(storage, offset, shape, strides, rest)
            return _with_scales(built, rest) if built else Node()
        case (Tensor() as tensor, *_) if name in _WRAPPERS:
            return tensor
        case (Global(inner), _, tuple(inner_arguments), *rest) if name.endswith(
            "_rebuild_from_type_v2"
        ):
            return _with_state(_called(inner, inner_arguments), rest)
        case (tuple(items),) if name == "torch Size":
            return items
        case (_, (Tensor(), Tensor(), *_) as parts, *_) if (
            name == "torch._utils _rebuild_sparse_tensor" and len(parts) <= _MOST_ARGUMENTS
        ):
            return _sparse(parts)
    return _node_of(arguments)


def _sparse(parts: Sequence[object]) -> Node:
    """Return a node of a sparse tensor's arrays: [compressed rows,] indices, values."""
    arrays = [each for each in parts if isinstance(each, Tensor)]
    size = next((each for each in parts if isinstance(each, tuple)), ())
    arrays[-1] = replace(arrays[-1], meaning=f"of {'x'.join(map(str, size[:_MOST_AXES]))}")
    node = Node()
    for label, tensor in zip(
        ("compressed", "indices", "values")[-len(arrays) :], arrays, strict=False
    ):
        node.put(label, tensor)
    return node


def _with_scales(built: Tensor, rest: list[object]) -> Tensor | Node:
    """Return a node with the scales of a tensor that is quantised per channel, else the tensor."""
    match rest:
        case [(Global(), Tensor() as scales, Tensor() as points, *_), *_]:
            node = Node()
            for label, tensor in (("", built), ("scales", scales), ("zero_points", points)):
                node.put(label, tensor)
            return node
    return built


def _meaning(rest: list[object]) -> str:
    match rest:
        case [(Global(), float(scale), int(point), *_), *_]:
            return f"scale {scale!r}, zero point {point}"
    # torch stores this for a view that is conjugated or negated lazily.
    views = any(isinstance(each, Node) and each.count for each in rest)
    return "to be conjugated or negated" if views else ""


def _with_state(built: object, state: list[object]) -> object:
    """Return a tensor of a subclass, with those of its attributes that hold arrays."""
    attributes = [each for each in state if isinstance(each, Node) and each.items]
    if not attributes or not isinstance(built, Node | Tensor):
        return built
    node = Node()
    node.put("data", built)
    for each in attributes:
        node.put("", each)
    return node


def _tensor(
    storage: Storage,
    offset: int,
    shape: tuple[object, ...],
    strides: tuple[object, ...],
    rest: list[object],
) -> Tensor | None:
    if not len(shape) == len(strides) <= _MOST_AXES:
        return None
    sizes = tuple(size for size in shape if isinstance(size, int) and 0 <= size < _LARGEST)
    steps = tuple(step for step in strides if isinstance(step, int) and 0 <= step < _LARGEST)
    if not len(sizes) == len(steps) == len(shape) or not 0 <= offset < _LARGEST:
        return None
    named = next((each.name for each in rest if isinstance(each, Global)), "")
    # A quantised tensor has its scheme, a tuple, in this position.
    dtype = named.removeprefix("torch ") if storage.kind == "UntypedStorage" else None
    return Tensor(storage, offset, sizes, steps, dtype, _meaning(rest))


def _node_of(arguments: object) -> Node:
    """Return a new node of an unknown object, with its arguments."""
    node = Node()
    if isinstance(arguments, Row):
        node.put("", arguments)
    return node


_OWN: dict[int, Callable[[_Builder], object]] = {
    ord("G"): _Builder.floating,  # BINFLOAT
    ord("}"): _Builder.node,  # EMPTY_DICT
    ord("]"): _Builder.node,  # EMPTY_LIST
    ord("a"): _Builder.append,  # APPEND
    ord("e"): _Builder.appends,  # APPENDS
    ord("l"): _Builder.replace_marked,  # LIST
    ord("o"): _Builder.replace_marked,  # OBJ
    ord("d"): _Builder.dictionary,  # DICT
    ord("t"): lambda m: m.stack.append(row_of(m.marked())),  # TUPLE
    ord("b"): _Builder.build,  # BUILD
    0x81: _Builder.new,  # NEWOBJ
    0x92: _Builder.new_with_words,  # NEWOBJ_EX
    ord("Q"): _Builder.storage,  # BINPERSID
    ord("R"): _Builder.call,  # REDUCE
}
_PLAIN = {opcode: does for opcode, does in PLAIN.items() if opcode not in _OWN}
_ACTIONS: dict[int, Callable[[Any], object]] = {**ACTIONS, **_OWN}
