"""A stand-in for ``jellyml.embed`` until it is there: folders get the sidecar, .keras a member."""

import importlib.util
import json
import sys
import types
import zipfile
from pathlib import Path

from jellyml.code import filling
from jellyml.snapshot import Snapshot


def fill(path: Path, snapshot: Snapshot | None = None) -> None:
    assert snapshot is not None
    if path.is_dir():
        (path / "jellyml_code_snapshot.bundle").write_bytes(snapshot.filling[1024:])
        manifest = filling.parse_manifest(snapshot.manifest)
        (path / "jellyml_manifest.json").write_text(json.dumps(manifest))
    else:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("jellyml_code_snapshot", snapshot.filling)


if importlib.util.find_spec("jellyml.embed") is None:
    module = types.ModuleType("jellyml.embed")
    module.fill = fill  # type: ignore[attr-defined]
    sys.modules["jellyml.embed"] = module
