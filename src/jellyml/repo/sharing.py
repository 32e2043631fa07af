"""The modes of files in a git directory that several users share (``core.sharedRepository``)."""

import stat
from pathlib import Path

_GROUP, _EVERYBODY = 0o660, 0o664
_WORDS = {
    "": 0, "umask": 0, "false": 0, "no": 0, "off": 0, "0": 0,
    "group": _GROUP, "true": _GROUP, "yes": _GROUP, "on": _GROUP, "1": _GROUP,
    "all": _EVERYBODY, "world": _EVERYBODY, "everybody": _EVERYBODY, "2": _EVERYBODY,
}  # fmt: skip


def shared_mode(mode: int, setting: str) -> int:
    """Return the mode that git gives a file with this ``core.sharedRepository`` (path.c)."""
    word = setting.lower()
    is_exact = word not in _WORDS
    try:
        bits = int(word, 8) & 0o666 if is_exact else _WORDS[word]
    except ValueError:  # git refuses to start with such a setting
        return mode
    if not mode & stat.S_IWUSR:
        bits &= ~0o222
    if mode & stat.S_IXUSR:
        bits |= (bits & 0o444) >> 2
    return (mode & ~0o777) | bits if is_exact else mode | bits


def share(path: Path, setting: str) -> None:
    """Give a file of the git directory the mode that git would give it."""
    mode = stat.S_IMODE(path.lstat().st_mode)
    if setting and shared_mode(mode, setting) != mode:
        path.chmod(shared_mode(mode, setting))
