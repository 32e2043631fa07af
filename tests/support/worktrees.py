"""Working trees that Hypothesis can think of, made real with real git."""

import os
from pathlib import Path

from hypothesis import strategies as st

from conftest import Folder

# What a file may be called: spaces, quotes, newlines, options, globs, bytes that are no text.
NAMES = (
    b"a.py", b"b c.py", b"quo\"te'.txt", b"new\nline", b"-rf", b":(glob)*", b"back\\slash",
    b"caf\xc3\xa9", b"latin\xe9", b"trail ", b"cr\r", b"dir/x", b"dir/y", b"dir/deep/z", b"dir2/x",
    b"$(touch hacked)", b"*", b"dir.txt",
)  # fmt: skip
CONTENTS = (b"", b"one\n", b"two\n", b"three\r\n", b"\0binary\xff", b"x" * 3000)

names = st.sampled_from(NAMES)
contents = st.sampled_from(CONTENTS)


def put(folder: Folder, name: bytes, content: bytes, kind: str = "file") -> None:
    """Make ``name`` a file, a program or a link, whatever stood in its way."""
    path = folder.path / os.fsdecode(name)
    for parent in reversed(path.relative_to(folder.path).parents[:-1]):
        above = folder.path / parent
        if above.is_symlink() or not above.is_dir():
            above.unlink(missing_ok=True)
    if not path.is_symlink() and path.is_dir():
        remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(os.fsdecode(content.replace(b"\0", b"") or b"nowhere"))
    else:
        path.write_bytes(content)
        path.chmod({"file": 0o644, "program": 0o755, "private": 0o600}[kind])


def remove(path: Path) -> None:
    if not path.is_symlink() and path.is_dir():
        for inner in path.iterdir():
            remove(inner)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


kinds = st.sampled_from(("file", "file", "program", "link", "private"))
edits = st.lists(
    st.one_of(
        st.tuples(st.just("put"), names, contents, kinds),
        st.tuples(st.just("delete"), names, st.just(b""), st.just("file")),
        st.tuples(st.just("stage"), names, st.just(b""), st.just("file")),
        st.tuples(st.just("unstage"), names, st.just(b""), st.just("file")),
        st.tuples(st.just("rename"), names, names, st.just("file")),
    ),
    max_size=12,
)


def edit(folder: Folder, action: str, name: bytes, other: bytes, kind: str) -> None:
    """One step of a user's; one that git refuses is a step all the same."""
    literal = b":(literal)" + name
    if action == "put":
        put(folder, name, other, kind)
    elif action == "delete":
        path = folder.path / os.fsdecode(name)
        if os.path.lexists(path):
            remove(path)
    elif action == "stage":
        folder.git("add", "-A", "--", literal, check=False)
    elif action == "unstage":
        folder.git("reset", "-q", "--", literal, check=False)
    elif action == "rename":
        source = folder.path / os.fsdecode(name)
        if not source.is_symlink() and source.is_file():
            content = source.read_bytes()
            source.unlink()
            put(folder, other, content)
