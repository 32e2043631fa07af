"""Every error this package raises on purpose.

JellyError                something the user can act on
├── UsageError            an argument is wrong
├── NoSnapshot            the checkpoint carries no code
├── BadSnapshot           it carries something that is not to be trusted
├── SecretsFound          what is to be saved holds what looks like a credential
├── CannotCarry           a file that a snapshot cannot be put into, or taken out of, safely
├── NotARepository        the folder is in no git repository
├── GitError              git refused
│   ├── TookTooLong       git did not finish in the time it was given
│   └── ForeignRepository git finds a repository that is not this folder's own
└── UnsafeToContinue      going on could lose the user's work
    └── Unrelated         the code has nothing in common with the repository

JellyWarning              a capture that left something out, or a file that was mended
"""

import os


def pasteable(path: "str | os.PathLike[str]") -> str:
    """A path as it can be pasted into a command, where it is no option."""
    import shlex

    text = os.fspath(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


class JellyError(Exception):
    """A problem and, when we know it, its fix.

    Subclasses keep this constructor: errors cross between training processes,
    and pickle rebuilds them by calling it.
    """

    exit_code = 1

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem, fix)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem} Fix: {self.fix}" if self.fix else self.problem


class UsageError(JellyError):
    """Named so that a wrong argument is told from a broken environment."""

    exit_code = 2


class NoSnapshot(JellyError): ...


class BadSnapshot(JellyError): ...


class SecretsFound(JellyError): ...


class CannotCarry(JellyError): ...


class NotARepository(JellyError): ...


class GitError(JellyError): ...


class TookTooLong(GitError): ...


class ForeignRepository(GitError):
    """A stranger's folder can lead git to any repository; none but the folder's own is used."""


class UnsafeToContinue(JellyError):
    exit_code = 3


class Unrelated(UnsafeToContinue): ...


class JellyWarning(UserWarning):
    """Something was left out, or could not be done exactly; the message says what."""
