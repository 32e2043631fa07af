"""The objects of a pickle that lead to tensors: nodes, and the names of their values.

A pickle can give one tensor billions of names, so the number of results is bounded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from jellyml.errors import JellyError

MOST_ARRAYS: Final = 100_000
_MOST_VISITS = 1_000_000
_DEEPEST = 64
LONGEST_NAME: Final = 1000
NODE: Final = 80  #: bytes that an empty node takes
ITEM: Final = 100  #: bytes that an item of a node takes
# Attributes of a pickled module that are not part of its tensors' names.
_UNNAMED = ("", "_parameters", "_buffers", "_modules")


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage: the key of its bytes, its type, and the number of elements in the pickle."""

    key: str
    kind: str  # ``FloatStorage``
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage; ``offset`` and ``strides`` are in elements. ``dtype``: torch's name.

    ``meaning`` describes numbers that do not represent themselves, such as quantised ones.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str | None = None  # if the storage has none
    meaning: str = ""


class Node:
    """A dictionary, list or object, with only the values that lead to tensors."""

    __slots__ = ("count", "items")

    def __init__(self) -> None:
        self.count = 0  # of all items, also those dropped: a list's next index
        self.items: Sequence[tuple[str, Value]] = ()  # most stay empty

    def put(self, name: object, value: object) -> None:
        self.count += 1
        if isinstance(value, Row):
            value = value.node()
        if isinstance(value, Node | Tensor | Storage):
            if not isinstance(self.items, list):
                self.items = []
            if len(self.items) > MOST_ARRAYS:
                raise ValueError("more than there may be")
            self.items.append((_named(name), value))

    def add(self, value: object) -> None:
        self.put(self.count, value)


Value: TypeAlias = Node | Tensor | Storage


class Row(tuple[object, ...]):
    """A tuple, which becomes a node at most once, however often it is stored."""

    _node: Node | None = None
    depth = 1
    has_arrays = False

    @property
    def has_node(self) -> bool:
        return self._node is not None

    def node(self) -> Node:
        if self._node is None:
            self._node = Node()
            for item in self:
                self._node.add(item)
        return self._node


def row_of(items: list[object]) -> Row | None:
    """Return a row; None if it is nested too deeply."""
    row = Row(items)
    if any(isinstance(item, Node | Tensor | Storage) for item in items):
        row.has_arrays = True
    deepest = max((item.depth for item in items if isinstance(item, Row)), default=0)
    if deepest:
        row.depth = deepest + 1
    return row if deepest < _DEEPEST else None


class TooMuch(JellyError):
    """A file is damaged, or would take far more time or memory than its size explains."""


def tensors(root: object) -> Iterator[tuple[str, Tensor | Storage]]:
    """Yield every tensor with its path as its name, in the order of the pickle.

    A tensor with several names comes under each; a loop is left out. Raise TooMuch.
    """
    start = root.node() if isinstance(root, Row) else root
    if isinstance(start, Tensor | Storage):
        yield "", start
    elif isinstance(start, Node):
        pairs = (pair for pair in _walked(start) if not isinstance(pair[1], Node))
        for count, (name, value) in enumerate(pairs):
            if count == MOST_ARRAYS:
                raise _too_many()
            assert not isinstance(value, Node)
            yield name, value


def _walked(root: Node) -> Iterator[tuple[str, Value]]:
    """Yield every value below a node, with its name."""
    path = [("", root, iter(root.items))]
    for _ in range(_MOST_VISITS):
        prefix, _, items = path[-1]
        key, value = next(items, (None, None))
        if key is None or value is None:
            path.pop()
            if not path:
                return
            continue
        name = prefix if key in _UNNAMED else f"{prefix}.{key}" if prefix else key
        if len(name) > LONGEST_NAME:
            raise TooMuch("It names arrays by more than 1,000 characters.")
        yield name, value
        below = value.items if isinstance(value, Node) and len(path) < _DEEPEST else None
        if isinstance(value, Node) and below and all(value is not each[1] for each in path):
            path.append((name, value, iter(below)))
    raise _too_many()


def _too_many() -> TooMuch:
    return TooMuch(f"It names more than {MOST_ARRAYS:,} arrays, or one under too many names.")


def _named(name: object) -> str:
    if isinstance(name, str):
        return name
    return str(name) if isinstance(name, int) else "?"
