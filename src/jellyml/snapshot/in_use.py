"""The code that a run uses and that its snapshot does not hold as it ran."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class IgnoredFile:
    """A file in use that git ignores; ``path`` is relative to the root."""

    path: str
    sha256: str | None
    captured: bool = False


@dataclass(frozen=True, slots=True)
class Outside:
    """Code in use outside the repository.

    ``path`` is the repository that holds it, or the file's folder if there is none.
    ``dirty`` is None if it is in no repository, or git could not read it.
    """

    path: str
    in_repository: bool
    files: tuple[str, ...]
    remotes: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            state = f"its repository could not be read: {self.error}"
        elif not self.in_repository:
            state = "outside the repository, in no repository; not captured"
        elif not self.commit:
            state = "outside the repository, without a commit; not captured"
        else:
            changes = "not all of it committed" if self.dirty else "clean"
            state = f"outside the repository, at {self.commit[:12]}, {changes}; not captured"
        return f"{self.path}: {state}"


@dataclass(frozen=True, slots=True)
class LaterFile:
    """A file that was imported after the capture and is not in the snapshot."""

    path: str
    sha256: str | None

    def __str__(self) -> str:
        return f"{self.path}: imported after the capture; not in the snapshot"


@dataclass(frozen=True, slots=True)
class CodeInUse:
    """What a capture found of the process's modules; paths in the repository are relative."""

    ignored: tuple[IgnoredFile, ...] = ()
    outside: tuple[Outside, ...] = ()
    changed: tuple[str, ...] = ()  # edited since the process started
    error: str = ""  # why the look failed

    def warnings(self) -> Iterator[str]:
        """Yield a line for each file or repository whose code may be lost."""
        for file in self.ignored:
            if file.captured:
                yield f"{file.path}: in an ignored folder; captured, because it is in use"
            else:
                yield f"{file.path}: ignored by git; not captured"
        yield from (str(each) for each in self.outside if each.dirty is not False)
        yield from (
            f"{path}: changed since the process started; may differ from what ran"
            for path in self.changed
        )

    def report(self) -> Iterator[str]:
        """Yield ``warnings``, and a line for each clean repository."""
        yield from self.warnings()
        yield from (str(each) for each in self.outside if each.dirty is False)
        if self.error:
            yield f"The modules in use were not compared with the snapshot: {self.error}"
