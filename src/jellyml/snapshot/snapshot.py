"""What ``create_snapshot`` returns: the code that is training, as a dictionary of tensors.

It maps two keys to one-dimensional uint8 tensors: the filling (the code) and the manifest
(how the model was made).
"""

import warnings
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

from jellyml.errors import JellyError, JellyWarning
from jellyml.formats import safetensors
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.snapshot import serialization
from jellyml.snapshot.facts import CodeFacts, LeftOut, format_size
from jellyml.snapshot.manifest import with_notes

if TYPE_CHECKING:
    from torch import Tensor

# In base64, which takes four bytes for three; the rest of the header is for the tensors' names.
_LARGEST_TEXTS = safetensors.LONGEST_HEADER - 1_000_000


class Snapshot(dict[str, "Tensor"]):
    """Key -> uint8 tensor, and what is known about the code.

    It pickles as an ``OrderedDict``, so that ``torch.load(weights_only=True)`` takes it, saved
    whole or spread into another dictionary. Its tensors are made when first asked for; the
    bytes (``filling``, ``manifest``) need no torch.
    """

    commit: str | None  #: the snapshot's commit, None when nothing could be captured
    error: str | None  #: why nothing could be captured
    left_out: tuple[LeftOut, ...]  #: what was left out, with size and reason
    filling: bytes  #: header and git bundle; empty when nothing could be captured
    manifest: bytes  #: header and JSON: how the model was made
    _facts: CodeFacts

    def __init__(self, filling: bytes, manifest: bytes, facts: CodeFacts) -> None:
        self.filling = filling
        self.manifest = manifest
        self.commit = facts.commit
        self.error = facts.error
        self.left_out = facts.left_out
        self._facts = facts
        records = {KEY: filling, MANIFEST_KEY: manifest}
        self._unmade = {key: record for key, record in records.items() if record}
        # Places only: without them len() and ``in`` would not know of the keys.
        super().__init__(dict.fromkeys(self._unmade))  # type: ignore[arg-type]

    def with_notes(self, notes: "Mapping[str, object]") -> "Snapshot":
        """The same with notes that training has shown, besides those given when it was taken.

        ``torch.save({..., **snapshot.with_notes({"loss": loss})}, path)``. Of one name the new
        one counts. Notes that cannot be recorded are a JellyWarning: what is trained is saved.
        """
        try:
            made = with_notes(serialization.parse_manifest(self.manifest), notes)
            return Snapshot(self.filling, serialization.manifest_record(made), self._facts)
        except Exception as error:  # noqa: BLE001 (hours of training are not lost for a note)
            reason = error.problem if isinstance(error, JellyError) else f"{error!r}"
            warnings.warn(f"The notes were not recorded. {reason}", JellyWarning, stacklevel=2)
            return self

    @property
    def safetensors_metadata(self) -> dict[str, str]:
        """Key -> the record in base64, for a format whose metadata are texts.

        ``save_file(tensors, path, metadata={"format": "pt", **snapshot.safetensors_metadata})``:
        no loader takes it for a tensor. The Hugging Face hub reads headers up to 25,000,000
        bytes: code that is too large for one is left out, with a JellyWarning.
        """
        records = {KEY: self.filling, MANIFEST_KEY: self.manifest}
        if sum(map(len, records.values())) * 4 > _LARGEST_TEXTS * 3:
            size = format_size(len(self.filling))
            warnings.warn(
                f"The code is too large for the header of a safetensors file: {size}. The file will"
                ' carry none. Fix: save it without its past, create_snapshot(history="none"), or'
                " fill the folder that the file lies in.",
                JellyWarning,
                stacklevel=2,
            )
            records[KEY] = b""
        return {key: b64encode(record).decode() for key, record in records.items() if record}

    def _made(self) -> "dict[str, Tensor]":
        """Every tensor in its place. Without the overrides below a copy would get the places."""
        for key, record in list(self._unmade.items()):
            super().__setitem__(key, _tensor(record))
            self._unmade.pop(key, None)
        return cast("dict[str, Tensor]", super())

    def __getitem__(self, key: str) -> "Tensor":
        return self._made().__getitem__(key)

    def __setitem__(self, key: str, value: "Tensor") -> None:
        self._made().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self._made().__delitem__(key)

    def __iter__(self) -> Iterator[str]:
        return self._made().__iter__()

    def __reversed__(self) -> Iterator[str]:
        return self._made().__reversed__()

    def keys(self) -> Any:
        return self._made().keys()

    def values(self) -> Any:
        return self._made().values()

    def items(self) -> Any:
        return self._made().items()

    def get(self, key: str, default: Any = None) -> Any:
        return self._made().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        return self._made().pop(key, *default)

    def popitem(self) -> "tuple[str, Tensor]":
        return self._made().popitem()

    def clear(self) -> None:
        self._made().clear()

    def update(self, *others: Any, **more: Any) -> None:
        self._made().update(*others, **more)

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self._made().setdefault(key, default)

    def copy(self) -> "dict[str, Tensor]":
        return dict(self.items())

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __ior__(self, other: Any) -> "Snapshot":  # type: ignore[override]
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = None

    def __repr__(self) -> str:
        sizes = ", ".join(f"{key}: {len(self.filling)} bytes" for key in (KEY,) if self.filling)
        return f"<Snapshot of commit {self.commit}{'; ' + sizes if sizes else ''}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return OrderedDict, (), None, None, iter(list(self.items()))


def _tensor(data: bytes) -> "Tensor":
    try:
        import torch
    except ImportError:
        raise JellyError(
            "The tensors of a snapshot need torch, which is not installed here.",
            "pip install torch, or use the bytes: snapshot.filling and snapshot.manifest.",
        ) from None
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)
