"""Repositories in every state, and the names and contents in them."""

import os
import socket

from conftest import Folder


def prepared(repo: Folder) -> None:
    """Something to edit in every way, some commits ago."""
    repo.write("staged.py", "staged")
    repo.write("both.py", "staged")
    repo.write("run.sh", "#!/bin/sh\n", executable=True)
    repo.write("gone.py", "1")
    repo.write("back.py", "1")
    repo.write("kind.py", "1")
    for message in ("more", "and", "more"):
        repo.commit(message)


def messy(repo: Folder) -> None:
    """Edits of every kind, staged and not."""
    repo.write("staged.py", "staged edit")
    repo.write("both.py", "staged edit")
    repo.git("add", "staged.py", "both.py")
    repo.write("both.py", "and more")
    (repo.path / "run.sh").chmod(0o644)
    (repo.path / "gone.py").unlink()
    repo.git("rm", "-q", "--cached", "back.py")
    (repo.path / "kind.py").unlink()
    (repo.path / "kind.py").symlink_to("nowhere/at all")
    repo.git("mv", "train.py", "moved.py")
    repo.write("intended.py", "x")
    repo.git("add", "-N", "intended.py")
    repo.write("staged-gone.py", "x")
    repo.git("add", "staged-gone.py")
    (repo.path / "staged-gone.py").unlink()
    repo.write("new/deep/file.py", "x")
    repo.write("noise.log", "ignored")
    (repo.path / "empty").mkdir()
    os.mkfifo(repo.path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        place = os.open(repo.path, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{place}/socket")
        os.close(place)


def detached(repo: Folder) -> None:
    repo.git("checkout", "-q", "--detach", "HEAD~1")
    repo.write("extra.py", "x")


def split_index(repo: Folder) -> None:
    repo.git("config", "core.splitIndex", "true")
    repo.git("update-index", "--split-index")
    repo.write("both.py", "again")
    repo.git("add", "both.py")


def conflicted(repo: Folder) -> None:
    repo.git("switch", "-q", "-c", "other")
    repo.write("lib/net.py", "width = 1\n")
    repo.commit("other")
    repo.git("switch", "-q", "main")
    repo.write("lib/net.py", "width = 2\n")
    repo.commit("ours")
    repo.git("merge", "other", check=False)
    assert (repo.path / ".git/MERGE_HEAD").exists()


def deleted_in_conflict(repo: Folder) -> None:
    conflicted(repo)
    (repo.path / "lib/net.py").unlink()


def resolved(repo: Folder) -> None:
    conflicted(repo)
    repo.write("lib/net.py", "width = 3\n")
    repo.git("add", "lib/net.py")


def flagged(repo: Folder) -> None:
    repo.git("update-index", "--assume-unchanged", "both.py", "lib/net.py")
    repo.write("both.py", "nobody looks")
    repo.write("hidden.py", "1")
    repo.commit("hidden")
    repo.git("update-index", "--skip-worktree", "hidden.py")
    repo.write("hidden.py", "2")


def typed_over(repo: Folder) -> None:
    """Files that became folders, pipes and repositories, and folders that became files."""
    (repo.path / "both.py").unlink()
    repo.write("both.py/inside.py", "1")
    (repo.path / "lib/net.py").unlink()
    (repo.path / "lib").rmdir()
    repo.write("lib", "a file")
    (repo.path / "staged.py").unlink()
    os.mkfifo(repo.path / "staged.py")


def noisy(repo: Folder) -> None:
    for name, value in (
        ("status.showUntrackedFiles", "no"), ("status.renames", "copies"),
        ("status.relativePaths", "true"), ("status.branch", "true"), ("status.short", "true"),
        ("status.showStash", "true"), ("status.submoduleSummary", "true"),
        ("diff.renames", "copies"), ("diff.ignoreSubmodules", "all"), ("diff.noprefix", "true"),
        ("diff.external", "false"), ("diff.relative", "true"), ("core.quotePath", "false"),
        ("color.ui", "always"), ("core.untrackedCache", "true"), ("core.preloadIndex", "false"),
        ("core.ignoreCase", "true"), ("core.pager", "false"), ("column.ui", "always"),
        ("commit.gpgSign", "true"), ("gpg.program", "false"), ("user.useConfigOnly", "true"),
        ("core.fsmonitor", str(repo.write(".git/monitor", "#!/bin/sh\ntouch ran\n"))),
        ("index.threads", "1"), ("feature.manyFiles", "true"), ("core.checkStat", "minimal"),
        ("transfer.hideRefs", "HEAD"), ("pack.window", "250"), ("core.abbrev", "4"),
        ("submodule.recurse", "true"), ("core.logAllRefUpdates", "always"),
    ):  # fmt: skip
        repo.git("config", name, value)
    (repo.path / ".git/monitor").chmod(0o755)
    repo.write("Both.py", "folds with both.py")


def hooked(repo: Folder) -> None:
    for name in ("pre-commit", "commit-msg", "post-index-change", "post-checkout", "pre-push"):
        repo.write(f".git/hooks/{name}", "#!/bin/sh\ntouch ran\nexit 1\n", executable=True)


ODD_NAMES = [
    b"a space", b" first", b"last ", b"'quote'", b'"double"', b'say "hi"', b"back\\slash", b"tab\t",
    b"new\nline", b"return\r", b"-dash", b"--", b":(magic)", b":/", b"*.py", b"[a]", b"#hash",
    b"!bang", b"~tilde", b"$(touch ran)", b"`x`", b";ls", b"\xff\xfe", "übér ☃".encode(),
    "e\u0301".encode(), b".jelly", b"CON", b"a" * 250, b"{}", b"%s", b"\x01\x7f", b"HEAD", b"D x",
]  # fmt: skip
CONTENTS = {
    "crlf.txt": b"one\r\ntwo\r\n", "lf.txt": b"one\ntwo\n", "mixed.txt": b"one\r\ntwo\n",
    "lone.txt": b"one\rtwo\r\n", "binary.txt": b"\0one\r\n", "ident.txt": b"$Id: 12 $\r\n",
    "wide.txt": "one\r\ntwo\n".encode("utf-16"), "code.py": b"one\r\n", "eof.txt": b"a\r\n\x1a",
    "controls.txt": b"\x01\x02\x03\r\n", "kept.txt": b"one\r\n",
}  # fmt: skip
