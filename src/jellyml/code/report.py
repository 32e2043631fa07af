"""What a user should hear of a capture at once: what is missing, and what should not be in it."""

from collections.abc import Sequence

from jellyml.code.guard import in_words
from jellyml.code.history import AS_ASKED
from jellyml.code.manifest import CodeFacts

_NAMED = 10
_DATA_NAMED = 3
_WITHHOLD = (
    "take it out of the file before the model leaves this machine, or end the line with"
    " # pragma: allowlist secret"
)


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
    named = [f"{one.path} ({in_words(one.size)})" for one in facts.data[:_DATA_NAMED]]
    rest = len(facts.data) - len(named)
    more = f" and {rest} more" if rest else ""
    return [
        f"The snapshot holds what looks like data: {', '.join(named)}{more}."
        " Fix: name it in .gitignore, or commit it if it is to go with the model"
    ]


def _first(sentences: Sequence[str], more: str) -> list[str]:
    rest = len(sentences) - _NAMED
    return [*sentences[:_NAMED], *([f"{rest} {more}"] if rest > 0 else [])]
