"""``create_snapshot``: capture the code while training starts, to save it with the model.

``torch.save({..., **snapshot}, path)``. By default a failed capture does not end the training run.
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
from jellyml.capture.warn_in_use import warn_in_use
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

_NAMED = 10  # messages of one kind
_DATA_NAMED = 3  # files named in one message
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
    out_git_bundle_path  a file to which the bare git bundle is written as well; an existing file
                         is replaced only if it is a bundle that JellyML wrote
    create_git_repo      make a repository (with an ignore file) if there is none
    history              ``"auto"`` (all, within 64 MB and 1.5 s), ``"full"``, ``"none"``, or a
                         number of commits below the snapshot
    max_file_size        bytes; a larger untracked file is left out, and named; 50,000,000
    max_untracked        bytes of all untracked files; if they are larger, the largest are left
                         out, and named; 250,000,000
    strict               raise if a capture fails, instead of warning
    timeout              seconds after which the capture counts as failed; 60
    on_secrets           what to do if files that differ from HEAD hold possible credentials:
                         ``"warn"`` (and note them in the manifest), ``"error"``, ``"ignore"``
    group                a process group of torch.distributed; every rank must call, the first
                         rank captures, and all ranks get the same snapshot
    notes                values to record in the manifest (JSON)

    An argument that is None is taken from ``[tool.jellyml]`` in ``pyproject.toml``, else it has
    the default above.

    A capture that fails returns a snapshot with only the manifest (``commit`` None, ``error``
    set) and a JellyWarning: it never ends a training run. Raise NotARepository if there is no
    repository, UsageError for wrong arguments, SecretsFound with ``on_secrets="error"``, and
    with ``strict`` any JellyError.
    """
    arguments = {
        "history": history,
        "max_file_size": max_file_size,
        "max_untracked": max_untracked,
        "strict": strict,
        "timeout": timeout,
        "on_secrets": on_secrets,
    }
    messages: list[str] = []
    around: dict[Path, manifest.Surroundings] = {}

    def meanwhile(root: Path) -> None:
        around[root] = manifest.surroundings(root)

    def take() -> Capture:
        folder = _folder(git_repo_path)
        chosen, file_warnings = settings(folder, arguments)
        messages.extend(file_warnings)
        bundle = _bundle_output(out_git_bundle_path)
        captured = _captured(folder, chosen, create_git_repo, messages, meanwhile)
        if bundle and captured.filling:
            _write(bundle, captured, chosen.strict, messages)
        return captured

    if group is None:
        _check_notes(notes)
        captured = take()
    else:
        from jellyml.capture.distributed import on_first_rank

        # Before the check, which may raise: every rank must take part in the collective.
        captured = on_first_rank(group, take)
        _check_notes(notes)
    _warn(messages)
    warn_in_use(captured.facts.in_use.warnings(), stacklevel=2)
    return _recorded(captured, notes, around.get(captured.facts.root))


create_jelly_filling = create_snapshot


def snapshot_for(
    model: Path,
    git_repo_path: "str | os.PathLike[str] | None" = None,
    history: History | None = None,
) -> Snapshot:
    """Return a snapshot of the code as it is now, for the existing checkpoint ``model``.

    The checkpoint itself is left out. Raise any JellyError of the capture.
    """
    folder = _folder(git_repo_path)
    chosen, messages = settings(folder, {"strict": True, "history": history})
    captured = _captured(folder, chosen, False, messages, lambda _: None, model.absolute())
    _warn(messages)
    warn_in_use(captured.facts.in_use.warnings(), stacklevel=2)
    return _recorded(captured, None)


def on_secrets(git_repo_path: "str | os.PathLike[str] | None") -> OnSecrets:
    """Return the setting ``on_secrets`` in ``[tool.jellyml]``, or its default."""
    return settings(_folder(git_repo_path), {})[0].on_secrets


def without_code(
    git_repo_path: "str | os.PathLike[str] | None",
    error: Exception,
    notes: Mapping[str, object] | None = None,
) -> Snapshot:
    """Return a snapshot without code, for a failed capture: the manifest with the error."""
    root = Path("." if git_repo_path is None else git_repo_path).absolute()
    return _recorded(Capture(b"", CodeFacts(root=root, error=_text(error))), notes)


def _recorded(
    captured: Capture,
    notes: Mapping[str, object] | None,
    around: manifest.Surroundings | None = None,
) -> Snapshot:
    version = _version.__version__
    recorded = manifest.record(captured.facts, version=version, notes=notes, around=around)
    written = serialization.manifest_record(recorded)
    return Snapshot(captured.filling, written, captured.facts, captured.later)


def _captured(
    folder: Path,
    chosen: Settings,
    create: bool,
    messages: list[str],
    meanwhile: Meanwhile,
    model: Path | None = None,
) -> Capture:
    """Return the capture, or an empty one if it failed; append warnings to ``messages``.

    Raise NotARepository if there is no repository, and any error with ``strict``.
    """
    limits = Limits(chosen.max_file_size, chosen.max_untracked, model)
    options = Options(chosen.history, limits, chosen.timeout)
    try:
        try:
            captured = capture(folder, options, _cache_folder(), meanwhile)
        except NotARepository:
            if not create:
                raise
            make_repository(folder)
            captured = capture(folder, options, _cache_folder(), meanwhile)
    except NotARepository as error:
        if create:
            raise
        raise NotARepository(
            error.problem,
            "run git init in your project's folder, or pass create_git_repo=True.",
        ) from None
    except Exception as error:  # a failed capture must not end a training run
        if chosen.strict or (create and isinstance(error, ForeignRepository)):
            raise
        messages.append(f"The code was not captured. {_text(error)}")
        facts = CodeFacts(root=folder, error=_text(error), report=tuple(messages))
        return Capture(b"", facts)
    captured = _with_secrets(captured, chosen.on_secrets)
    facts, interrupted = captured.facts, captured.interrupted
    full = (*messages, *report(facts, interrupted=interrupted, most=None), *facts.in_use.report())
    messages += report(facts, interrupted=interrupted)
    return replace(captured, facts=replace(facts, report=full))


def _with_secrets(captured: Capture, on_secrets: OnSecrets) -> Capture:
    secrets = captured.facts.secrets
    if secrets and on_secrets == "error":
        raise SecretsFound(
            f"What would be saved with the model looks like a secret: {secrets[0]}.",
            "take it out of the file (and revoke it if it ever left this machine), or end the"
            " line with # pragma: allowlist secret.",
        )
    if secrets and on_secrets == "ignore":
        return replace(captured, facts=replace(captured.facts, secrets=()))
    return captured


def _text(error: Exception) -> str:
    expected = isinstance(error, (JellyError, OSError))
    return str(error) if expected else f"{type(error).__name__}: {error}"


def _write(bundle: Output, captured: Capture, strict: bool, messages: list[str]) -> None:
    try:
        bundle.write([captured.filling[serialization.HEADER_SIZE :]])
    except (OSError, UsageError) as error:  # the path was free when the capture began
        if strict:
            raise
        messages.append(f"The bundle was not written to {bundle.path}: {error}")


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        with suppress(ValueError):  # standard error may be closed
            warnings.warn(sentence, JellyWarning, stacklevel=3)  # the line of the user's call


def _check_notes(notes: Mapping[str, object] | None) -> None:
    if notes is not None and not isinstance(notes, Mapping):
        raise UsageError("notes is not a dictionary.", 'pass one, such as {"note": "a text"}.')
    if notes:  # fail now if they cannot be written, not after the capture
        trial = manifest.record(CodeFacts(root=Path()), version=_version.__version__, notes=notes)
        serialization.manifest_record(trial)


def _folder(path: "str | os.PathLike[str] | None") -> Path:
    folder = paths.parse_path("git_repo_path", "." if path is None else path)
    if not stat.S_ISDIR(paths.mode_of(folder)):
        raise UsageError(f"{folder} is not a folder.", "pass a folder inside the repository.")
    return folder


def _bundle_output(path: "str | os.PathLike[str] | None") -> Output | None:
    """Return the output of the bundle. Raise UsageError if it cannot be written."""
    if path is None:
        return None
    place = paths.parse_path("out_git_bundle_path", path)
    output = Output(place, BUNDLE, "out_git_bundle_path=PATH")
    output.check()
    return output


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("jellyml", appauthor=False)


def report(facts: CodeFacts, *, interrupted: bool, most: int | None = _NAMED) -> list[str]:
    """Return the warnings about a capture, at most ``most`` of one kind.

    ``interrupted`` is True if a load was interrupted before it.
    """
    messages = []
    if interrupted:
        messages.append(
            "A jellyml command was interrupted here, so the code may be incomplete."
            " Fix: jellyml doctor"
        )
    if facts.cut and facts.cut != AS_ASKED:
        messages.append(f"The history was left out of the snapshot: {facts.cut}.")
    missing = [
        f"{one.path} was left out of the snapshot: {one.explained}."
        for one in facts.left_out
        if one.reason != "checkpoint"
    ]
    raw = [f"{path} was captured as it is on disk: its filter was not run." for path in facts.raw]
    secrets = [
        f"The snapshot holds what looks like a secret: {one}. Fix: {_WITHHOLD}"
        for one in facts.secrets
    ]
    messages += _data(facts)
    messages += _first(missing, most, "more files were left out; the manifest names them.")
    messages += _first(raw, most, "more files were captured as they are on disk.")
    messages += _first(secrets, most, "more places look like secrets; the manifest names them.")
    return messages


def _data(facts: CodeFacts) -> list[str]:
    """Return one message for all files: a folder of pictures has thousands."""
    if not facts.data:
        return []
    named = [f"{one.path} ({format_size(one.size)})" for one in facts.data[:_DATA_NAMED]]
    rest = len(facts.data) - len(named)
    more = f" and {rest} more" if rest else ""
    return [
        f"The snapshot holds what looks like data: {', '.join(named)}{more}."
        " Fix: name it in .gitignore, or commit it to keep it in the snapshot"
    ]


def _first(sentences: Sequence[str], most: int | None, more: str) -> list[str]:
    shown = sentences[:most]
    rest = len(sentences) - len(shown)
    return [*shown, *([f"{rest} {more}"] if rest else [])]
