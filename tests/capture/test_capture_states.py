"""Capture in every state a repository can be in: the tree is the disk, and nothing is touched."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import jellyml
from captures import Tree, kept, taken, unpacked, untouched, walked
from conftest import Folder
from jellyml.errors import GitError, JellyWarning
from repository_states import (
    CONTENTS,
    ODD_NAMES,
    conflicted,
    deleted_in_conflict,
    detached,
    flagged,
    hooked,
    messy,
    noisy,
    prepared,
    resolved,
    split_index,
    typed_over,
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files of its own, empty afterwards."""
    place = tmp_path / 'temporary "files": here\nand there'
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


def held(folder: Folder, tmp_path: Path, **options: object) -> Tree:
    """What a capture holds, once it is seen to have touched nothing."""
    roots = [folder.path]
    git_dir = Path(os.fsdecode(folder.git("rev-parse", "--absolute-git-dir").strip()))
    common = folder.git("rev-parse", "--path-format=absolute", "--git-common-dir").strip()
    roots += [git_dir, Path(os.fsdecode(common))]
    with untouched(*roots):
        snapshot = taken(folder.path, **options)
    assert taken(folder.path, **options).filling == snapshot.filling
    return unpacked(snapshot.filling, tmp_path / f"unpacked {len(list(tmp_path.iterdir()))}")


def rebasing(repo: Folder) -> None:
    conflicted(repo)
    repo.git("merge", "--abort")
    repo.git("rebase", "other", check=False)
    assert (repo.path / ".git/rebase-merge").exists()


def picking(repo: Folder) -> None:
    conflicted(repo)
    repo.git("merge", "--abort")
    repo.git("cherry-pick", "other", check=False)
    assert (repo.path / ".git/CHERRY_PICK_HEAD").exists()


def bisecting(repo: Folder) -> None:
    repo.git("bisect", "start", "HEAD", "HEAD~3")


def never_told(repo: Folder) -> None:
    repo.git("config", "core.ignoreStat", "true")
    repo.git("checkout", "-q", "-f", "HEAD~1")
    repo.write("lib/net.py", "width = 9\n")


def locked(repo: Folder) -> None:
    repo.write(".git/index.lock")
    repo.write(".git/HEAD.lock")


State = Callable[[Folder], None]
AT_FIRST: tuple[State, ...] = (
    detached, conflicted, deleted_in_conflict, resolved, rebasing, picking, bisecting,
)  # fmt: skip
AT_LAST: tuple[State, ...] = (
    split_index, flagged, never_told, locked, typed_over, noisy, hooked,
)  # fmt: skip


@pytest.mark.parametrize("state", AT_FIRST, ids=lambda state: state.__name__)
def test_the_tree_is_the_disk_in_the_middle_of(state: State, repo: Folder, tmp_path: Path) -> None:
    prepared(repo)
    state(repo)
    messy(repo)
    assert held(repo, tmp_path) == kept(repo)


@pytest.mark.parametrize("state", [messy, *AT_LAST], ids=lambda state: state.__name__)
def test_the_tree_is_the_disk_when(state: State, repo: Folder, tmp_path: Path) -> None:
    prepared(repo)
    if state is not messy:
        messy(repo)
    state(repo)
    assert held(repo, tmp_path) == kept(repo)


def test_any_name(repo: Folder, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        repo.write(os.fsdecode(b"in " + name + b"/" + name), name)
        repo.write(os.fsdecode(b"was " + name), name)
    repo.commit("odd")
    for name in ODD_NAMES:
        (repo.path / os.fsdecode(b"was " + name)).unlink()
        repo.write(os.fsdecode(b"in " + name + b"/" + name), b"edited " + name)
        repo.write(os.fsdecode(name), name)
        link = os.fsdecode(name.replace(b"/", b"")[-250:] + b"~l")
        (repo.path / link).symlink_to(os.fsdecode(name))
    assert held(repo, tmp_path) == kept(repo)


def test_unborn(folder: Folder, tmp_path: Path) -> None:
    folder.git("init", "-q")
    folder.write("a.py", "1")
    folder.write("b.py", "1")
    folder.git("add", "b.py")
    folder.write("b.py", "2")
    assert held(folder, tmp_path) == kept(folder)


def test_unborn_and_empty(folder: Folder, tmp_path: Path) -> None:
    folder.git("init", "-q")
    assert held(folder, tmp_path) == {}


def test_another_object_format(folder: Folder, tmp_path: Path) -> None:
    folder.git("init", "-q", "-b", "main", "--object-format=sha256")
    folder.write("train.py", "1")
    folder.write("lib/net.py", "1")
    folder.commit()
    prepared(folder)
    messy(folder)
    assert held(folder, tmp_path) == kept(folder)
    assert held(folder, tmp_path, history=1) == kept(folder)


def test_a_linked_worktree(repo: Folder, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"))
    linked = Folder(tmp_path / "linked")
    prepared(linked)
    messy(linked)
    split_index(linked)
    assert held(linked, tmp_path) == kept(linked)


@pytest.mark.parametrize("cone", ["--cone", "--no-cone", "--sparse-index"])
def test_sparse(cone: str, repo: Folder, tmp_path: Path) -> None:
    for name in ("in/a.py", "out/b.py", "out/c.py", "out/deep/d.py", "out/e.py"):
        repo.write(name, name)
    repo.commit("more")
    whole = kept(repo)
    if cone == "--sparse-index":
        repo.git("sparse-checkout", "init", "--cone", "--sparse-index")
    else:
        repo.git("sparse-checkout", "init", cone)
    repo.git("sparse-checkout", "set", "/in/" if cone == "--no-cone" else "in")
    assert not (repo.path / "out/b.py").exists()
    repo.write("in/a.py", "edited")
    repo.write("out/b.py", "written though sparse")
    repo.write("out/new.py", "new")
    assert held(repo, tmp_path) == {**whole, **kept(repo)}


def test_sparse_and_partial(repo: Folder, tmp_path: Path) -> None:
    """What is neither on disk nor in the clone is left out, and named; nothing is fetched."""
    for name in ("in/a.py", "out/b.py", "out/deep/d.py", "both/here.py", "both/away.py"):
        repo.write(name, name)
    repo.commit("more")
    repo.git("config", "uploadpack.allowFilter", "true")
    clone = Folder(tmp_path / "clone")
    repo.git("clone", "-q", "-n", "--filter=blob:none", repo.path.as_uri(), str(clone.path))
    clone.git("sparse-checkout", "set", "--no-cone", "/*", "!/out/", "!/both/away.py")
    clone.git("checkout", "-q", "main")
    there = set(walked(clone.path))
    assert b"in/a.py" in there
    assert b"out/b.py" not in there
    clone.write("in/a.py", "edited")
    with pytest.warns(JellyWarning) as warned, untouched(clone.path):
        snapshot = jellyml.create_snapshot(clone.path, strict=True)
    said = " ".join(str(one.message) for one in warned)
    assert "both/away.py was left out" in said
    assert "out/ was left out" in said
    assert "deep" not in said
    assert unpacked(snapshot.filling, tmp_path / "unpacked") == walked(clone.path)
    with pytest.raises(GitError, match="history='auto'"):
        jellyml.create_snapshot(clone.path, strict=True, history="full")


def test_a_separate_git_directory(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "work")
    folder.path.mkdir()
    folder.git("init", "-q", "--separate-git-dir", str(tmp_path / 'else: "where"'))
    folder.write("train.py", "1")
    folder.write("lib/net.py", "1")
    folder.commit()
    prepared(folder)
    messy(folder)
    assert held(folder, tmp_path) == kept(folder)


def test_a_working_tree_elsewhere(repo: Folder, tmp_path: Path) -> None:
    elsewhere = Folder(tmp_path / "elsewhere")
    elsewhere.path.mkdir()
    elsewhere.write("inside.py", "1")
    repo.git("config", "core.worktree", str(elsewhere.path))
    with untouched(repo.path, elsewhere.path), pytest.warns(JellyWarning, match="core.worktree is"):
        assert not jellyml.create_snapshot(repo.path).filling
    (repo.path / ".git").rename(tmp_path / "store")
    elsewhere.write(".git", f"gitdir: {tmp_path / 'store'}\n")  # it leads back
    with untouched(elsewhere.path):
        snapshot = taken(elsewhere.path)
    assert unpacked(snapshot.filling, tmp_path / "unpacked") == walked(elsewhere.path)


def submodule(repo: Folder, tmp_path: Path, name: str = "sub") -> Folder:
    other = Folder(tmp_path / "upstream")
    if not other.path.exists():
        other.path.mkdir()
        other.git("init", "-q", "-b", "main")
        for inner in ("a.py", "b.py", "deep/c.py"):
            other.write(inner, inner)
        other.write(".gitignore", "*.log\n")
        other.commit()
    repo.git("submodule", "add", "-q", str(other.path), name)
    repo.commit("submodule")
    return Folder(repo.path / name)


def nested_kept(repo: Folder, *inner: Folder) -> Tree:
    found = {p: e for p, e in walked(repo.path).items() if p not in ignored_below(repo)}
    for one in inner:
        prefix = os.fsencode(one.path.relative_to(repo.path)) + b"/"
        for path in ignored_below(one):
            found.pop(prefix + path, None)
    return found


def ignored_below(folder: Folder) -> set[bytes]:
    listed = folder.git("ls-files", "-o", "-i", "--exclude-standard", "-z")
    return set(listed.split(b"\0")[:-1])


def test_a_dirty_submodule(repo: Folder, tmp_path: Path) -> None:
    sub = submodule(repo, tmp_path)
    sub.write("a.py", "edited")
    (sub.path / "b.py").unlink()
    sub.write("new.py", "1")
    sub.write("noise.log", "1")
    assert held(repo, tmp_path) == nested_kept(repo, sub)
    sub.commit("moved on")
    (sub.path / "a.py").unlink()
    assert held(repo, tmp_path) == nested_kept(repo, sub)


def test_submodules_that_are_not_there(repo: Folder, tmp_path: Path) -> None:
    for name in ("uninitialised", "deleted", "astray", "with files"):
        submodule(repo, tmp_path, name)
    repo.git("submodule", "deinit", "-q", "-f", "uninitialised")
    repo.git("submodule", "deinit", "-q", "-f", "with files")
    repo.write("with files/a.py", "code all the same")
    for path in sorted((repo.path / "deleted").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (repo.path / "deleted").rmdir()
    (repo.path / "astray/.git").write_text("gitdir: /nowhere/at/all\n")
    found = held(repo, tmp_path)
    assert found.pop(b"uninitialised")[0] == "gitlink"
    assert found == walked(repo.path)


def test_nested_repositories(repo: Folder, tmp_path: Path) -> None:
    repo.write("lib/deep/x.py", "of the outer one")
    repo.commit("deep")
    inner, unborn, hidden = (Folder(repo.path / n) for n in ("vendor/in", "young", "data/hid"))
    for one in (inner, unborn, hidden, Folder(inner.path / "deeper")):
        one.path.mkdir(parents=True)
        one.git("init", "-q", "-b", "main")
        one.write("a.py", "1")
        one.write("b.py", "1")
        one.write(".gitignore", "*.tmp\n")
        if one is not unborn:
            one.commit()
    inner.write("a.py", "2")
    (inner.path / "b.py").unlink()
    inner.write("x.tmp", "ignored")
    (repo.path / "lib/net.py").unlink()
    found = nested_kept(repo, inner, unborn)
    assert held(repo, tmp_path) == {p: e for p, e in found.items() if not p.startswith(b"data/")}


def test_a_file_that_became_a_repository(repo: Folder, tmp_path: Path) -> None:
    (repo.path / "train.py").unlink()
    inner = Folder(repo.path / "train.py")
    inner.path.mkdir()
    inner.git("init", "-q")
    inner.write("a.py", "1")
    inner.commit()
    assert held(repo, tmp_path) == nested_kept(repo, inner)


EOL: tuple[tuple[str, str, str], ...] = (
    # core.autocrlf, core.eol, .gitattributes
    ("true", "", ""), ("input", "", ""), ("false", "", "* text=auto\n"),
    ("false", "", "*.txt text eol=crlf\n"), ("true", "", "*.txt -text\n"),
    ("false", "crlf", "* text=auto\n"), ("false", "", "*.txt ident\n"),
    ("true", "", "*.txt eol=lf\n"), ("input", "lf", "*.txt crlf=input\n"),
    ("false", "", "*.txt working-tree-encoding=UTF-16\n"), ("false", "", "*.txt crlf\n"),
    ("true", "", "*.txt text\nkept.txt crlf=auto !text\n"),
)  # fmt: skip


@pytest.mark.parametrize(("autocrlf", "eol", "attributes"), EOL)
def test_blobs_are_what_git_add_would_make(
    autocrlf: str, eol: str, attributes: str, folder: Folder, tmp_path: Path
) -> None:
    folder.git("init", "-q")
    for name, content in CONTENTS.items():
        folder.write(name, content)
        folder.write(f"staged {name}", content)
    folder.commit("before any rule")
    folder.git("config", "core.autocrlf", autocrlf)
    folder.git("config", "core.safecrlf", "true")
    if eol:
        folder.git("config", "core.eol", eol)
    folder.write(".gitattributes", attributes)
    for name, content in CONTENTS.items():
        folder.write(name, content + content)
        folder.write(f"new {name}", content)
        folder.write(f"staged {name}", content + content + content)
    found = held(folder, tmp_path)
    folder.git("config", "core.safecrlf", "false")
    for path in found:
        # One at a time: what is not in the encoding it should be in fails them all.
        folder.git("--literal-pathspecs", "add", b"./" + path, check=False)
    tree = folder.git("write-tree").decode().strip()
    rows = folder.git("ls-tree", "-rz", tree).split(b"\0")[:-1]
    expected = {row.split(b"\t")[1]: folder.git("cat-file", "blob", row.split()[2]) for row in rows}
    # Where git itself fails, the bytes are taken as they lie.
    failed = set(found) if "UTF-16" in attributes else set()
    for path, (_, content) in found.items():
        raw = (folder.path / os.fsdecode(path)).read_bytes()
        assert content == expected.get(path) or (path in failed and content == raw), path


def test_rules_that_are_ignored_or_not_of_the_repository(
    repo: Folder, tmp_path: Path, home: Path
) -> None:
    repo.write(".git/info/exclude", ".gitattributes\n")
    repo.write("lib/.gitattributes", "*.py text\n")
    repo.write("lib/net.py", "a\r\n")
    repo.write("a.py", "a\r\n")
    found = held(repo, tmp_path)
    assert (found[b"lib/net.py"][1], found[b"a.py"][1]) == (b"a\n", b"a\r\n")
    (home / ".config/git").mkdir(parents=True)
    (home / ".config/git/attributes").write_text("*.py text\n")
    assert held(repo, tmp_path)[b"a.py"][1] == b"a\n"
    repo.write("lib/.gitattributes", "*.py -text\n")
    assert held(repo, tmp_path)[b"lib/net.py"][1] == b"a\r\n"


@pytest.mark.parametrize("program", ["no-such-program", "false", "sed s/secret/-/"])
@pytest.mark.parametrize("required", ["true", "false"])
def test_filters(program: str, required: str, repo: Folder, tmp_path: Path) -> None:
    repo.write("a.ipynb", "clean")
    repo.write("b.ipynb", "clean")
    repo.write(".gitattributes", "*.ipynb filter=strip\n")
    repo.commit("notebooks")
    repo.git("config", "filter.strip.clean", program)
    repo.git("config", "filter.strip.smudge", "false")
    repo.git("config", "filter.strip.required", required)
    repo.write("a.ipynb", "my secret")
    repo.write("c.ipynb", "new secret")
    with pytest.warns(JellyWarning, match="its filter was not run"), untouched(repo.path):
        snapshot = jellyml.create_snapshot(repo.path)
    found = unpacked(snapshot.filling, tmp_path / "unpacked")
    assert found[b"a.ipynb"] == ("file", b"my secret")
    assert found[b"c.ipynb"] == ("file", b"new secret")
    assert found[b"b.ipynb"] == ("file", b"clean")


def test_what_a_file_system_does_not_keep(repo: Folder, tmp_path: Path) -> None:
    repo.write("run.sh", "1", executable=True)
    (repo.path / "link").symlink_to("there")
    (repo.path / "flagged").symlink_to("there")
    repo.commit("modes")
    repo.git("config", "core.fileMode", "false")
    repo.git("config", "core.symlinks", "false")
    repo.git("update-index", "--assume-unchanged", "flagged")
    (repo.path / "run.sh").chmod(0o644)
    repo.write("new.sh", "1", executable=True)
    for name in ("link", "flagged"):
        (repo.path / name).unlink()
        repo.write(name, "elsewhere")
    found = held(repo, tmp_path)
    assert found[b"run.sh"] == ("program", b"1")
    assert found[b"new.sh"] == ("file", b"1")
    assert found[b"link"] == found[b"flagged"] == ("link", b"elsewhere")
