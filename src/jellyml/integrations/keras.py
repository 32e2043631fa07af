"""``fit(callbacks=[ModelCheckpoint(path), JellyMLCallback(path)])``: the code in Keras files."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

from jellyml.checkpoint import apply_edit
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.formats.signatures import HDF5
from jellyml.fs import atomic, tempdirs
from jellyml.integrations.run import RunCode, missing
from jellyml.snapshot.snapshot import Snapshot

try:
    import keras
except ImportError:
    raise missing("keras", "keras") from None

_FIELD = re.compile(r"\{[^}]*\}")


class JellyMLCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Put the code into what ModelCheckpoint saves at ``filepath``; list it after that callback.

    ``filepath`` may contain fields such as ``{epoch:02d}``, as for ModelCheckpoint. ``.keras``
    files get a member; ``.h5`` files get datasets, which later writes do not move.
    Options are those of ``create_snapshot``.
    """

    def __init__(
        self,
        filepath: "str | os.PathLike[str]",
        git_repo_path: "str | os.PathLike[str] | None" = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.code = RunCode(git_repo_path, **options)
        self._pattern = Path(_FIELD.sub("*", os.fspath(filepath)))
        self._seen: dict[Path, tuple[int, int]] = {}

    def on_train_begin(self, logs: object = None) -> None:
        self.code.take()
        self._seen = self._saved()  # checkpoints of an earlier run are not filled

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self._fill_new()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self._fill_new()

    def on_train_end(self, logs: object = None) -> None:
        self._fill_new()

    def _saved(self) -> dict[Path, tuple[int, int]]:
        stamps = {}
        for path in self._pattern.parent.glob(self._pattern.name):
            status = path.stat()
            stamps[path] = (status.st_mtime_ns, status.st_size)
        return stamps

    def _fill_new(self) -> None:
        saved = self._saved()
        new = [path for path, stamp in saved.items() if self._seen.get(path) != stamp]
        for path in new:
            self.code.fill(path, by=into_hdf5 if _is_hdf5(path) else None)
        if new:
            self._seen = self._saved()


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return HDF5.matches(file.read(HDF5.reach))


def into_hdf5(path: Path, snapshot: Snapshot) -> None:
    """Add two datasets of bytes, in a copy, since adding one changes bytes all over the file."""
    import h5py

    path = apply_edit.refuse_links(path, follow=False)
    apply_edit.mend(path)
    tempdirs.sweep_beside(path.parent)
    with path.open("rb") as old, atomic.replacement(path, like=path.stat()) as new:
        shutil.copyfileobj(old, new)
        with h5py.File(new, "r+") as file:
            for key, record in ((KEY, snapshot.filling), (MANIFEST_KEY, snapshot.manifest)):
                if key in file:
                    del file[key]
                # Contiguous and not compressed, so that it is readable without h5py.
                file[key] = memoryview(record)
