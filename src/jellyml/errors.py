"""The errors and the warning that this package raises.

JellyError                an error with a message and a fix for the user
├── UsageError            an argument is wrong
├── NoSnapshot            the checkpoint carries no code
├── BadSnapshot           the snapshot is damaged or unsafe
├── SecretsFound          the code to be saved contains what looks like a credential
├── CannotCarry           a snapshot cannot be put into, or taken out of, a file safely
├── NotARepository        the folder is in no git repository
├── GitError              git refused
│   ├── TookTooLong       git exceeded its time limit
│   └── ForeignRepository git finds a repository that is not this folder's
└── UnsafeToContinue      continuing could lose the user's work
    └── Unrelated         the code has nothing in common with the repository

JellyWarning              a capture left something out, or a file was repaired
"""

import os


def pasteable(path: "str | os.PathLike[str]") -> str:
    """Return a path quoted for a shell, and never taken for an option."""
    import shlex

    text = os.fspath(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


class JellyError(Exception):
    """A problem and, if it is known, its fix.

    Subclasses keep this constructor: errors are sent between training processes,
    and pickle calls it to rebuild them.
    """

    exit_code = 1

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem, fix)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem} Fix: {self.fix}" if self.fix else self.problem


class UsageError(JellyError):
    """A wrong argument, as distinct from a broken environment."""

    exit_code = 2


class NoSnapshot(JellyError): ...


class BadSnapshot(JellyError): ...


class SecretsFound(JellyError): ...


class CannotCarry(JellyError): ...


class NotARepository(JellyError): ...


class GitError(JellyError): ...


class TookTooLong(GitError): ...


class ForeignRepository(GitError):
    """An untrusted folder can point git at any repository; only the folder's own is used."""


class UnsafeToContinue(JellyError):
    exit_code = 3


class Unrelated(UnsafeToContinue): ...


class JellyWarning(UserWarning):
    """Something was left out, or was not done exactly; the message says what."""
