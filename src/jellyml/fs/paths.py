"""The order of names that people expect: epoch9 before epoch10."""

import re

_NUMBER = re.compile(r"(\d{1,18})")


def by_name(name: str) -> list[tuple[int, str]]:
    """A key to sort by."""
    parts = _NUMBER.split(name)
    return [(int(part) if number % 2 else 0, part) for number, part in enumerate(parts)]
