"""What a pickle would build, as far as it leads to tensors: nodes, and the names of what they hold.

A pickle can name one thing under billions of names: what is given out is bounded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from jellyml.errors import JellyError

MOST_ARRAYS: Final = 100_000
_MOST_VISITS = 1_000_000
_DEEPEST = 64
LONGEST_NAME: Final = 1000
# What a module's own pickle puts between its name and those of its tensors.
_UNNAMED = ("", "_parameters", "_buffers", "_modules")


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage, by the key that its bytes lie under; ``count`` elements, as the pickle says."""

    key: str
    kind: str  # ``FloatStorage``
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage; ``offset`` and ``strides`` are in elements. ``dtype``: torch's name.

    ``meaning`` is what the numbers stand for, where that is not themselves.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str | None = None  # where the storage does not say
    meaning: str = ""


class Node:
    """A dictionary, list or object: of what it holds, what leads to tensors."""

    __slots__ = ("count", "items")

    def __init__(self) -> None:
        self.count = 0  # of items, kept or not: a list's next index
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
    """A tuple, which becomes a node at most once, however often it is put somewhere."""

    _node: Node | None = None
    depth = 1

    def node(self) -> Node:
        if self._node is None:
            self._node = Node()
            for item in self:
                self._node.add(item)
        return self._node


def row_of(items: list[object]) -> Row | None:
    """None for one that is deeper than any that holds arrays."""
    row = Row(items)
    deepest = max((item.depth for item in items if isinstance(item, Row)), default=0)
    if deepest:
        row.depth = deepest + 1
    return row if deepest < _DEEPEST else None


class TooMuch(JellyError):
    """A pickle that asks for more than an honest one would."""


def tensors(root: object) -> Iterator[tuple[str, Tensor | Storage]]:
    """Every tensor with the path to it as its name, in the order of the pickle.

    Raises TooMuch. One that lies under several names comes under each; a loop is left out.
    """
    start = root.node() if isinstance(root, Row) else root
    if isinstance(start, Tensor | Storage):
        yield "", start
    elif isinstance(start, Node):
        found = (pair for pair in _walked(start) if not isinstance(pair[1], Node))
        for count, (name, value) in enumerate(found):
            if count == MOST_ARRAYS:
                raise _too_many()
            assert not isinstance(value, Node)
            yield name, value


def _walked(root: Node) -> Iterator[tuple[str, Value]]:
    """Everything below a node, with its name."""
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
