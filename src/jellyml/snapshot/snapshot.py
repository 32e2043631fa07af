"""The return value of ``create_snapshot``: the running code as a dictionary of tensors.

It maps two keys to one-dimensional uint8 tensors: the filling (the code) and the manifest
(the command, the environment and the notes).
"""

import warnings
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

from jellyml.errors import JellyError, JellyWarning
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.snapshot import serialization
from jellyml.snapshot.facts import CodeFacts, LeftOut, format_size
from jellyml.snapshot.in_use import LaterFile
from jellyml.snapshot.manifest import with_notes, with_used_later

if TYPE_CHECKING:
    from torch import Tensor

_FOR_NAMES = 1_000_000  # bytes of a safetensors header for the names of the tensors


Later = Callable[[], Sequence[LaterFile]]
"""Returns the files that were imported since the capture and are not in it. Raises nothing."""


class Snapshot(dict[str, "Tensor"]):
    """Key -> uint8 tensor, and the facts about the code.

    It pickles as an ``OrderedDict``, so that ``torch.load(weights_only=True)`` accepts it, saved
    whole or spread into another dictionary. The tensors are created on first access. The
    bytes (``filling``, ``manifest``) are available without torch.
    """

    commit: str | None  #: the snapshot's commit, None when nothing could be captured
    error: str | None  #: why nothing could be captured
    left_out: tuple[LeftOut, ...]  #: the files that were left out, with size and reason
    filling: bytes  #: header and git bundle; empty when nothing could be captured
    _facts: CodeFacts

    def __init__(
        self, filling: bytes, manifest: bytes, facts: CodeFacts, later: Later | None = None
    ) -> None:
        self.filling = filling
        self._manifest = manifest
        self._later = later
        self._recorded: Sequence[LaterFile] = ()
        self.commit = facts.commit
        self.error = facts.error
        self.left_out = facts.left_out
        self._facts = facts
        records = {KEY: filling, MANIFEST_KEY: manifest}
        self._pending = {key: record for key, record in records.items() if record}
        # Placeholders: len() and ``in`` need the keys before the tensors are created.
        super().__init__(dict.fromkeys(self._pending))  # type: ignore[arg-type]

    @property
    def manifest(self) -> bytes:
        """Header and JSON. Code that was imported since the capture is added to it."""
        self._look_again()
        return self._manifest

    @property
    def report(self) -> tuple[str, ...]:
        """Every warning about the capture, and all code in use that it does not have."""
        self._look_again()
        return (*self._facts.report, *map(str, self._recorded))

    def _look_again(self) -> None:
        """Record code that was imported since. Raise nothing: a model is being saved."""
        files = self._later() if self._later else ()
        if len(files) == len(self._recorded):
            return
        self._recorded = files
        with suppress(Exception):
            added = with_used_later(serialization.parse_manifest(self._manifest), files)
            self._manifest = serialization.manifest_record(added)
            if MANIFEST_KEY in self:
                self._pending[MANIFEST_KEY] = self._manifest

    def with_notes(self, notes: "Mapping[str, object]") -> "Snapshot":
        """Return a copy with ``notes`` added to the notes of ``create_snapshot``.

        ``torch.save({..., **snapshot.with_notes({"loss": loss})}, path)``. A new note replaces
        one of the same name. If the notes cannot be recorded, warn with a JellyWarning and
        return the snapshot unchanged.
        """
        try:
            manifest = with_notes(serialization.parse_manifest(self.manifest), notes)
            written = serialization.manifest_record(manifest)
            return Snapshot(self.filling, written, self._facts, self._later)
        except Exception as error:  # noqa: BLE001 (hours of training are not lost for a note)
            reason = error.problem if isinstance(error, JellyError) else f"{error!r}"
            with suppress(JellyWarning):  # an error, with ``-W error``
                warnings.warn(f"The notes were not recorded. {reason}", JellyWarning, stacklevel=2)
            return self

    @property
    def safetensors_metadata(self) -> dict[str, str]:
        """Key -> the record in base64, for the metadata of safetensors.

        ``save_file(tensors, path, metadata={"format": "pt", **snapshot.safetensors_metadata})``.
        Loaders do not read it as a tensor. The Hugging Face hub reads headers up to 25,000,000
        bytes. Code that is too large for one is left out, with a JellyWarning.
        """
        from jellyml.formats.safetensors import LONGEST_HEADER  # late: no capture needs it

        records = {KEY: self.filling, MANIFEST_KEY: self.manifest}
        if sum(map(len, records.values())) * 4 > (LONGEST_HEADER - _FOR_NAMES) * 3:
            size = format_size(len(self.filling))
            warnings.warn(
                f"The code is too large for the header of a safetensors file: {size}. The file will"
                ' have no code. Fix: create_snapshot(history="none") leaves out the history; or'
                " fill the folder that contains the file.",
                JellyWarning,
                stacklevel=2,
            )
            records[KEY] = b""
        return {key: b64encode(record).decode() for key, record in records.items() if record}

    def _created(self) -> "dict[str, Tensor]":
        """Create all tensors and return the plain dictionary.

        Every method below calls this first. Otherwise a copy would get the placeholders.
        """
        self._look_again()
        for key, record in list(self._pending.items()):
            super().__setitem__(key, _tensor(record))
            self._pending.pop(key, None)
        return cast("dict[str, Tensor]", super())

    def __getitem__(self, key: str) -> "Tensor":
        return self._created().__getitem__(key)

    def __setitem__(self, key: str, value: "Tensor") -> None:
        self._created().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self._created().__delitem__(key)

    def __iter__(self) -> Iterator[str]:
        return self._created().__iter__()

    def __reversed__(self) -> Iterator[str]:
        return self._created().__reversed__()

    def keys(self) -> Any:
        return self._created().keys()

    def values(self) -> Any:
        return self._created().values()

    def items(self) -> Any:
        return self._created().items()

    def get(self, key: str, default: Any = None) -> Any:
        return self._created().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        return self._created().pop(key, *default)

    def popitem(self) -> "tuple[str, Tensor]":
        return self._created().popitem()

    def clear(self) -> None:
        self._created().clear()

    def update(self, *others: Any, **more: Any) -> None:
        self._created().update(*others, **more)

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self._created().setdefault(key, default)

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
