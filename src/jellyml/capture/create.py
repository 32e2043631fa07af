"""``create_snapshot``: capture the code while training starts, to save it with the model.

``torch.save({..., **snapshot}, path)``. It never ends a training run unless asked to.
"""

import stat
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml import _version
from jellyml.capture.bundle import AS_ASKED, History
from jellyml.capture.capture import Capture, Meanwhile, Options, capture
from jellyml.capture.settings import OnSecrets, Settings, settings
from jellyml.errors import (
    ForeignRepository,
    JellyError,
    JellyWarning,
    NotARepository,
    SecretsFound,
    UsageError,
)
from jellyml.fs import paths
from jellyml.fs.output import Output
from jellyml.repo.bundle_header import BUNDLE
from jellyml.repo.repository import make_repository
from jellyml.snapshot import manifest, serialization
from jellyml.snapshot.facts import CodeFacts, format_size
from jellyml.snapshot.snapshot import Snapshot
from jellyml.working_tree.selection import Limits

if TYPE_CHECKING:
    import os

    from torch.distributed import ProcessGroup

_NAMED = 10
_DATA_NAMED = 3
_WITHHOLD = (
    "take it out of the file before the model leaves this machine, or end the line with"
    " # pragma: allowlist secret"
)


def create_snapshot(
    git_repo_path: "str | os.PathLike[str] | None" = None,
    out_git_bundle_path: "str | os.PathLike[str] | None" = None,
    create_git_repo: bool = False,
    *,
    history: History | None = None,
    max_file_size: int | None = None,
    max_untracked: int | None = None,
    strict: bool | None = None,
    timeout: float | None = None,
    on_secrets: OnSecrets | None = None,
    group: "ProcessGroup | None" = None,
    notes: Mapping[str, object] | None = None,
) -> Snapshot:
    """Capture the code of the repository that holds ``git_repo_path``; change nothing in it.

    git_repo_path        any folder in the repository; the current one by default
    out_git_bundle_path  a file to which the bare git bundle is written as well; of what is there,
                         only a bundle that JellyML wrote is replaced
    create_git_repo      make a repository (with an ignore file) where there is none
    history              ``"auto"`` (all, within 64 MB and 1.5 s), ``"full"``, ``"none"``, or a
                         number of commits below the snapshot
    max_file_size        bytes; a larger untracked file is left out, and named; 50,000,000
    max_untracked        bytes; of more untracked files the largest are left out, and named;
                         250,000,000
    strict               raise where a capture fails, instead of warning
    timeout              seconds after which the capture counts as failed; 60
    on_secrets           what to do where files that differ from HEAD hold what looks like a
                         credential: ``"warn"`` (and note it in the manifest), ``"error"``,
                         ``"ignore"``
    group                a process group of torch.distributed: a collective, called by every
                         rank of it; its first rank captures, all get the same snapshot
    notes                what you want to find in the manifest again (JSON)

    What is left None is as ``[tool.jellyml]`` in ``pyproject.toml`` says, else as above.

    A capture that fails gives a snapshot with the manifest alone (``commit`` None, ``error``
    set) and a JellyWarning: it never ends a training run. Raises NotARepository where there
    is no repository, UsageError for wrong arguments, SecretsFound where that was asked for,
    and with ``strict`` any JellyError.
    """
    arguments = {
        "history": history,
        "max_file_size": max_file_size,
        "max_untracked": max_untracked,
        "strict": strict,
        "timeout": timeout,
        "on_secrets": on_secrets,
    }
    said: list[str] = []
    around: dict[Path, manifest.Surroundings] = {}

    def meanwhile(root: Path) -> None:
        around[root] = manifest.surroundings(root)

    def take() -> Capture:
        folder = _folder(git_repo_path)
        asked, told = settings(folder, arguments)
        said.extend(told)
        bundle = _bundle_output(out_git_bundle_path)
        taken = _taken(folder, asked, create_git_repo, said, meanwhile)
        if bundle and taken.filling:
            _write(bundle, taken, asked.strict, said)
        return taken

    if group is None:
        _check_notes(notes)
        taken = take()
    else:
        from jellyml.capture.distributed import on_first_rank

        taken = on_first_rank(group, take)  # no rank may leave before it, or the others wait
        _check_notes(notes)
    _warn(said)
    return _recorded(taken, notes, around.get(taken.facts.root))


create_jelly_filling = create_snapshot


def snapshot_for(
    model: Path,
    git_repo_path: "str | os.PathLike[str] | None" = None,
    history: History | None = None,
) -> Snapshot:
    """The code as it is now, for a checkpoint that lies there already and is no part of it.

    Raises what stands in the way of the capture.
    """
    folder = _folder(git_repo_path)
    asked, said = settings(folder, {"strict": True, "history": history})
    taken = _taken(folder, asked, False, said, lambda _: None, model.absolute())
    _warn(said)
    return _recorded(taken, None)


def on_secrets(git_repo_path: "str | os.PathLike[str] | None") -> OnSecrets:
    """What ``[tool.jellyml]`` says, for who looks further than a capture."""
    return settings(_folder(git_repo_path), {})[0].on_secrets


def without_code(
    git_repo_path: "str | os.PathLike[str] | None",
    error: Exception,
    notes: Mapping[str, object] | None = None,
) -> Snapshot:
    """What a run saves whose code could not be captured: the manifest alone, and why."""
    root = Path("." if git_repo_path is None else git_repo_path).absolute()
    return _recorded(Capture(b"", CodeFacts(root=root, error=_text(error))), notes)


def _recorded(
    taken: Capture,
    notes: Mapping[str, object] | None,
    around: manifest.Surroundings | None = None,
) -> Snapshot:
    version = _version.__version__
    recorded = manifest.record(taken.facts, version=version, notes=notes, around=around)
    return Snapshot(taken.filling, serialization.manifest_record(recorded), taken.facts)


def _taken(
    folder: Path,
    asked: Settings,
    create: bool,
    said: list[str],
    meanwhile: Meanwhile,
    model: Path | None = None,
) -> Capture:
    """The capture, or one that failed; what the user should hear goes to ``said``."""
    limits = Limits(asked.max_file_size, asked.max_untracked, model)
    options = Options(asked.history, limits, asked.timeout)
    try:
        try:
            taken = capture(folder, options, _cache_folder(), meanwhile)
        except NotARepository:
            if not create:
                raise
            make_repository(folder)
            taken = capture(folder, options, _cache_folder(), meanwhile)
    except NotARepository as error:
        if create:
            raise
        raise NotARepository(
            error.problem,
            "run git init in your project's folder, or pass create_git_repo=True.",
        ) from None
    except Exception as error:  # no training run ends for want of a snapshot
        if asked.strict or (create and isinstance(error, ForeignRepository)):
            raise
        said.append(f"The code was not captured. {_text(error)}")
        return Capture(b"", CodeFacts(root=folder, error=_text(error)))
    taken = _with_secrets(taken, asked.on_secrets)
    said += report(taken.facts, interrupted=taken.interrupted)
    return taken


def _with_secrets(taken: Capture, on_secrets: OnSecrets) -> Capture:
    found = taken.facts.secrets
    if found and on_secrets == "error":
        raise SecretsFound(
            f"What would be saved with the model looks like a secret: {found[0]}.",
            "take it out of the file (and revoke it if it ever left this machine), or end the"
            " line with # pragma: allowlist secret.",
        )
    if found and on_secrets == "ignore":
        return replace(taken, facts=replace(taken.facts, secrets=()))
    return taken


def _text(error: Exception) -> str:
    ours = isinstance(error, (JellyError, OSError))
    return str(error) if ours else f"{type(error).__name__}: {error}"


def _write(bundle: Output, taken: Capture, strict: bool, said: list[str]) -> None:
    try:
        bundle.write([taken.filling[serialization.HEADER_SIZE :]])
    except (OSError, UsageError) as error:  # what is in the way has come since the capture began
        if strict:
            raise
        said.append(f"The bundle was not written to {bundle.path}: {error}")


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        with suppress(ValueError):  # standard error may be closed
            warnings.warn(sentence, JellyWarning, stacklevel=3)  # the line that asked


def _check_notes(notes: Mapping[str, object] | None) -> None:
    if notes is not None and not isinstance(notes, Mapping):
        raise UsageError("notes is not a dictionary.", 'pass one, such as {"note": "a text"}.')
    if notes:  # whether they can be written shows now, not when the code was captured
        trial = manifest.record(CodeFacts(root=Path()), version=_version.__version__, notes=notes)
        serialization.manifest_record(trial)


def _folder(path: "str | os.PathLike[str] | None") -> Path:
    folder = paths.given("git_repo_path", "." if path is None else path)
    if not stat.S_ISDIR(paths.mode_of(folder)):
        raise UsageError(f"{folder} is not a folder.", "pass a folder inside the repository.")
    return folder


def _bundle_output(path: "str | os.PathLike[str] | None") -> Output | None:
    """Where the bundle goes; UsageError where it cannot be written, before any time is spent."""
    if path is None:
        return None
    place = paths.given("out_git_bundle_path", path)
    output = Output(place, BUNDLE, "out_git_bundle_path=PATH")
    output.check()
    return output


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("jellyml", appauthor=False)


def report(facts: CodeFacts, *, interrupted: bool) -> list[str]:
    """Sentences; ``interrupted`` says that a load was, and the code may be half of it."""
    said = []
    if interrupted:
        said.append(
            "A jellyml command was interrupted here, so the code may be half of what was loaded."
            " Fix: jellyml doctor"
        )
    if facts.cut and facts.cut != AS_ASKED:
        said.append(f"The history was left out of the snapshot: {facts.cut}.")
    missing = [
        f"{one.path} was left out of the snapshot: {one.explained}."
        for one in facts.left_out
        if one.reason != "checkpoint"
    ]
    raw = [f"{path} was captured as it lies: its filter was not run." for path in facts.raw]
    secrets = [
        f"The snapshot holds what looks like a secret: {one}. Fix: {_WITHHOLD}"
        for one in facts.secrets
    ]
    said += _data(facts)
    said += _first(missing, "more files were left out; the manifest names them.")
    said += _first(raw, "more files were captured as they lie.")
    said += _first(secrets, "more places look like secrets; the manifest names them.")
    return said


def _data(facts: CodeFacts) -> list[str]:
    """One sentence for all: a folder of pictures has thousands."""
    if not facts.data:
        return []
    named = [f"{one.path} ({format_size(one.size)})" for one in facts.data[:_DATA_NAMED]]
    rest = len(facts.data) - len(named)
    more = f" and {rest} more" if rest else ""
    return [
        f"The snapshot holds what looks like data: {', '.join(named)}{more}."
        " Fix: name it in .gitignore, or commit it if it is to go with the model"
    ]


def _first(sentences: Sequence[str], more: str) -> list[str]:
    rest = len(sentences) - _NAMED
    return [*sentences[:_NAMED], *([f"{rest} {more}"] if rest > 0 else [])]
