"""``create_snapshot``: the code that is training, as something to save with the model.

``torch.save({..., **snapshot}, path)``. The snapshot maps two keys to one-dimensional uint8
tensors: the filling (the code) and the manifest (how the model was made).
"""

import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

import jellyml
from jellyml import files
from jellyml.code import filling, manifest
from jellyml.code.capture import MAX_FILE_SIZE, MAX_UNTRACKED, Capture, Options, capture, describe
from jellyml.code.guard import LeftOut
from jellyml.code.history import History
from jellyml.code.manifest import CodeFacts
from jellyml.code.newborn import make_repository
from jellyml.errors import JellyError, JellyWarning, NotARepository, UsageError
from jellyml.formats import KEY, MANIFEST_KEY

if TYPE_CHECKING:
    import os

    from torch import Tensor
    from torch.distributed import ProcessGroup


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

    def __init__(self, filling: bytes, manifest: bytes, facts: CodeFacts) -> None:
        self.filling = filling
        self.manifest = manifest
        self.commit = facts.commit
        self.error = facts.error
        self.left_out = facts.left_out
        records = {KEY: filling, MANIFEST_KEY: manifest}
        self._unmade = {key: record for key, record in records.items() if record}
        # Places only: without them len() and ``in`` would not know of the keys.
        super().__init__(dict.fromkeys(self._unmade))  # type: ignore[arg-type]

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


def create_snapshot(
    git_repo_path: "str | os.PathLike[str] | None" = None,
    out_git_bundle_path: "str | os.PathLike[str] | None" = None,
    create_git_repo: bool = False,
    *,
    history: History = "auto",
    max_file_size: int = MAX_FILE_SIZE,
    max_untracked: int = MAX_UNTRACKED,
    strict: bool = False,
    timeout: float = 60.0,
    group: "ProcessGroup | None" = None,
    notes: Mapping[str, object] | None = None,
) -> Snapshot:
    """Capture the code of the repository that holds ``git_repo_path``; change nothing in it.

    git_repo_path        any folder in the repository; the current one by default
    out_git_bundle_path  a file to which the bare git bundle is written as well
    create_git_repo      make a repository (with an ignore file) where there is none
    history              ``"auto"`` (all, within 64 MB and 1.5 s), ``"full"``, ``"none"``, or a
                         number of commits below the snapshot
    max_file_size        bytes; a larger untracked file is left out, and named
    max_untracked        bytes; of more untracked files the largest are left out, and named
    strict               raise where a capture fails, instead of warning
    timeout              seconds after which the capture counts as failed
    group                a process group of torch.distributed: a collective, called by every
                         rank of it; its first rank captures, all get the same snapshot
    notes                what you want to find in the manifest again (JSON)

    A capture that fails gives a snapshot with the manifest alone (``commit`` None, ``error``
    set) and a JellyWarning: it never ends a training run. Raises NotARepository where there
    is no repository, UsageError for wrong arguments, and with ``strict`` any JellyError.
    """
    options = Options(
        _history(history),
        _size("max_file_size", max_file_size),
        _size("max_untracked", max_untracked),
        _seconds(timeout),
    )
    folder = _folder(git_repo_path)
    bundle = _bundle_path(out_git_bundle_path)
    _check_notes(notes)

    def take() -> Capture:
        taken = _taken(folder, options, create_git_repo, strict)
        if bundle and taken.filling:
            _write(bundle, taken, strict)
        return taken

    if group is not None:
        from jellyml.code.ranks import on_first_rank

        taken = on_first_rank(group, take)
    else:
        taken = take()
    recorded = manifest.record(taken.facts, version=jellyml.__version__, notes=notes)
    return Snapshot(taken.filling, filling.manifest_record(recorded), taken.facts)


create_jelly_filling = create_snapshot


def _taken(folder: Path, options: Options, create: bool, strict: bool) -> Capture:
    try:
        try:
            taken = capture(folder, options, _cache_folder())
        except NotARepository:
            if not create:
                raise
            make_repository(folder)
            taken = capture(folder, options, _cache_folder())
    except NotARepository as error:
        raise NotARepository(
            error.problem,
            error.fix or "run git init in your project's folder, or pass create_git_repo=True.",
        ) from None
    except Exception as error:  # no training run ends for want of a snapshot
        if strict:
            raise
        _warn([f"The code was not captured. {_said(error)}"])
        return Capture(b"", CodeFacts(root=folder, error=_said(error)))
    _warn(describe(taken))
    return taken


def _said(error: Exception) -> str:
    ours = isinstance(error, (JellyError, OSError))
    return str(error) if ours else f"{type(error).__name__}: {error}"


def _write(bundle: Path, taken: Capture, strict: bool) -> None:
    try:
        files.replace(bundle, [taken.filling[filling.HEADER_SIZE :]], mode=0o666)
    except OSError as error:
        if strict:
            raise
        _warn([f"The bundle was not written to {bundle}: {error}"])


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        with suppress(ValueError):  # standard error may be closed
            warnings.warn(sentence, JellyWarning, stacklevel=4)


def _history(history: History) -> History:
    number = isinstance(history, int) and not isinstance(history, bool) and history >= 0
    if number or history in ("auto", "full", "none"):
        return history
    raise UsageError(
        f"history={history!r} is not a choice.",
        'use "auto", "full", "none" or a number of commits.',
    )


def _size(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise UsageError(f"{name}={value!r} is not a size.", "pass a number of bytes.")


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST:
        return float(value)
    raise UsageError(f"timeout={value!r} is not a time.", "pass a number of seconds above 0.")


# What a lock can be waited for (threading.TIMEOUT_MAX is less on some systems).
_LONGEST = 1_000_000


def _check_notes(notes: Mapping[str, object] | None) -> None:
    if notes is not None and not isinstance(notes, Mapping):
        raise UsageError("notes is not a dictionary.", 'pass one, such as {"note": "a text"}.')
    if notes:  # whether they can be written shows now, not when the code was captured
        trial = manifest.record(CodeFacts(root=Path()), version=jellyml.__version__, notes=notes)
        filling.manifest_record(trial)


def _path(name: str, path: "str | os.PathLike[str]") -> Path:
    try:
        found = Path(path).absolute()
        found.exists()
    except (TypeError, ValueError):
        raise UsageError(f"{name}={path!r} is not a path.", "pass a str or a Path.") from None
    except OSError:
        pass  # whether it is there and can be used shows below
    return found


def _folder(path: "str | os.PathLike[str] | None") -> Path:
    folder = _path("git_repo_path", "." if path is None else path)
    if not _is_folder(folder):
        raise UsageError(f"{folder} is not a folder.", "pass a folder inside the repository.")
    return folder


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _bundle_path(path: "str | os.PathLike[str] | None") -> Path | None:
    if path is None:
        return None
    bundle = _path("out_git_bundle_path", path)
    if _is_folder(bundle) or not _is_folder(bundle.parent):
        problem = "is a folder" if _is_folder(bundle) else "lies in a folder that does not exist"
        raise UsageError(f"{bundle} {problem}.", "pass the path of a file to write.")
    return bundle


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("jellyml", appauthor=False)
