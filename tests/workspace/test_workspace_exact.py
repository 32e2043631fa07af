"""Rare shapes of a repository that come back exactly, too."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_limits import small_disk  # noqa: F401

import fingerprint
import jellyml
from conftest import Folder
from jellyml.fs import move
from jellyml.fs.directory import DirEntry
from jellyml.workspace import Workspace, mover, store_packs
from nobody import as_nobody


def saved(folder: Folder, path: Path) -> Path:
    torch.save({**jellyml.create_snapshot(folder.path, strict=True)}, path)
    folder.git("reset", "-q", "--hard")
    folder.git("clean", "-fdq")
    return path


@pytest.fixture
def model(repo: Folder, tmp_path: Path) -> Path:
    repo.write("train.py", "of the model\n")
    return saved(repo, tmp_path / "model.pth")


def linked(repo: Folder, place: Path, branch: str) -> Folder:
    """Another worktree, on a branch or with ``HEAD`` detached, whoever else has the branch."""
    repo.git("worktree", "add", "-q", "-f", str(place), branch)
    return Folder(place)


# Where HEAD stands.


@pytest.mark.parametrize("links", [1, 2])
def test_an_alias_of_a_branch_comes_back(repo: Folder, model: Path, links: int) -> None:
    repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    repo.git("symbolic-ref", "refs/heads/alias2", "refs/heads/alias")
    repo.git("symbolic-ref", "HEAD", "refs/heads/alias" + "2" * (links - 1))
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    outcome = Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before
    assert outcome.warnings == ()


def test_an_alias_that_moved_is_not_touched(repo: Folder, model: Path) -> None:
    repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    repo.git("symbolic-ref", "HEAD", "refs/heads/alias")
    was = repo.git("rev-parse", "HEAD")
    Workspace(repo.path).load(model)
    repo.git("branch", "-f", "main", "HEAD~2")

    outcome = Workspace(repo.path).undo()

    assert (repo.path / ".git/HEAD").read_bytes() == was
    assert any("alias has moved" in warning for warning in outcome.warnings)


@pytest.mark.parametrize("how", ["on it", "rebasing it", "bisecting it", "by an alias"])
@pytest.mark.parametrize("where", ["main", "linked"])
def test_a_branch_that_another_worktree_has_since_is_not_checked_out(
    repo: Folder, model: Path, tmp_path: Path, how: str, where: str
) -> None:
    other = linked(repo, tmp_path / "other", "HEAD")
    here, there = (repo, other) if where == "main" else (other, repo)
    there.git("switch", "-q", "--detach")
    here.git("switch", "-q", "main")
    was = here.git("rev-parse", "HEAD")
    Workspace(here.path).load(model)
    if how == "by an alias":
        repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
        there.git("symbolic-ref", "HEAD", "refs/heads/alias")
    else:
        there.git("switch", "-q", "main")
    if how == "rebasing it":
        there.git("rebase", "-q", "--exec", "false", "HEAD~1", check=False)
    elif how == "bisecting it":
        there.git("bisect", "start", "HEAD", "HEAD~1")
        there.git("switch", "-q", "--detach")
    if how.endswith("it") and how != "on it":
        assert there.git("rev-parse", "--abbrev-ref", "HEAD") == b"HEAD\n"
    theirs = fingerprint.workspace(there)

    outcome = Workspace(here.path).undo()

    assert here.git("rev-parse", "HEAD") == was
    assert here.git("rev-parse", "--abbrev-ref", "HEAD") == b"HEAD\n"
    said = " ".join(outcome.warnings)
    assert "main" in said
    assert str(there.path) in said
    assert fingerprint.workspace(there) == theirs


def test_a_branch_that_both_had_comes_back_to_both(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    other = linked(repo, tmp_path / "other", "main")
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    assert Workspace(repo.path).undo().warnings == ()
    assert fingerprint.workspace(repo) == before
    shutil.rmtree(other.path)
    Workspace(repo.path).load(model)
    assert Workspace(repo.path).undo().warnings == ()


def test_a_worktree_whose_folder_is_gone_has_no_branch(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    shutil.rmtree(linked(repo, tmp_path / "other", "main").path)
    assert Workspace(repo.path).undo().warnings == ()
    assert fingerprint.workspace(repo) == before


def test_a_rebase_comes_back_and_says_who_has_its_branch_since(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    repo.git("rebase", "-q", "--exec", "false", "HEAD~1", check=False)
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    other = linked(repo, tmp_path / "other", "main")

    outcome = Workspace(repo.path).undo()

    after = fingerprint.workspace(repo)
    assert after == before
    assert any(str(other.path) in warning for warning in outcome.warnings)


# Worktrees.


def test_a_worktree_made_anew_under_a_name_begins_anew(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    first = linked(repo, tmp_path / "wt", "HEAD")
    first.write("precious.py", "of the first")
    Workspace(first.path).load(model)
    repo.git("worktree", "remove", "--force", str(first.path))
    second = linked(repo, tmp_path / "wt", "HEAD")
    second.write("mine.py", "of the second")
    before = fingerprint.workspace(second)

    assert Workspace(second.path).history() == []
    assert Workspace(second.path).undo().warnings == ("There is nothing to undo.",)
    assert fingerprint.workspace(second) == before
    Workspace(second.path).load(model)
    Workspace(second.path).undo()
    assert fingerprint.workspace(second) == before

    (finding,) = Workspace(second.path).doctor()
    assert "The worktree wt is gone" in finding.problem
    ref = finding.problem.rpartition(" ")[2].removesuffix(".")
    states = [f"{ref.rpartition('/')[0]}/{number}" for number in (1, 2)]
    store = f"--git-dir={repo.path / '.git/jellyml/store'}"
    assert repo.git(store, "show", f"{states[0]}:files/precious.py") == b"of the first"
    Workspace(repo.path).load(model)

    Workspace(repo.path).prune(older_than=0)
    assert Workspace(repo.path).doctor() == []
    assert len(list((repo.path / ".git/jellyml/worktrees").iterdir())) == 1
    Workspace(repo.path).prune(everything=True)
    assert not list((repo.path / ".git").rglob("jellyml"))


def test_what_lies_aside_of_a_worktree_that_is_gone_is_named_and_kept(
    repo: Folder, in_the_way: Path, tmp_path: Path
) -> None:
    first = linked(repo, tmp_path / "wt", "HEAD")
    first.write("out.log", "precious")
    Workspace(first.path).load(in_the_way)
    repo.git("worktree", "remove", "--force", str(first.path))
    Workspace(repo.path).load(in_the_way)
    Workspace(repo.path).prune(older_than=0)

    said = [one for one in Workspace(repo.path).doctor() if "out.log" in one.problem]

    assert len(said) == 1
    place = Path(said[0].problem.rpartition(" is at ")[2].removesuffix("."))
    assert place.read_text() == "precious"
    with pytest.raises(jellyml.JellyError, match="set aside"):
        Workspace(repo.path).prune(everything=True)


def test_a_worktree_that_was_moved_keeps_its_journal(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    first = linked(repo, tmp_path / "wt", "HEAD")
    before = fingerprint.files(first.path)
    Workspace(first.path).load(model)
    repo.git("worktree", "move", str(first.path), str(tmp_path / "elsewhere"))
    Workspace(tmp_path / "elsewhere").undo()
    assert {**fingerprint.files(tmp_path / "elsewhere"), ".git": 0} == {**before, ".git": 0}


def test_an_interrupted_load_in_a_worktree_is_named_by_a_capture(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    other = linked(repo, tmp_path / "wt", "HEAD")
    Workspace(other.path).load(model)
    entry = Workspace(other.path).folder / "00000001.json"
    entry.write_text(entry.read_text().replace('"done"', '"begun"'))
    with pytest.warns(jellyml.JellyWarning, match="interrupted"):
        jellyml.create_snapshot(other.path, strict=True)


# What is set aside.


@pytest.fixture
def in_the_way(repo: Folder, tmp_path: Path) -> Path:
    """A checkpoint whose code has files where ignored ones may lie."""
    repo.write("out.log", "of the model")
    repo.git("add", "-f", "out.log")
    repo.write("data", "a file where a folder is")
    repo.git("add", "-f", "data")
    return saved(repo, tmp_path / "in_the_way.pth")


def _untrack(folder: Folder, *names: str) -> None:
    """The user takes what was loaded out of their code: it is gone, and ignored from now on."""
    folder.git("rm", "-q", "-f", *names)


LOADED = 0
STEPS = {
    "one by one": ("undo", "undo"),
    "and forth": ("undo", "redo", "undo", "undo", "redo", "undo"),
    "all the way": ("undo", "undo", "redo", "redo", "undo", "undo"),
    "in one leap": ("restore 1", "restore 2", "restore 1"),
    "leaps undone": ("restore 1", "undo", "restore 2", "undo", "undo", "undo"),
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_second_thing_set_aside_at_one_path(
    repo: Folder, in_the_way: Path, steps: tuple[str, ...]
) -> None:
    """State 1 has one thing there, 2 has another, both ignored, and a folder each, too."""
    repo.write("out.log", "the first").chmod(0o640)
    repo.write("data/a.bin", "the first")
    repo.write("data/only-in-first.bin", "1")
    (repo.path / "data").chmod(0o700)
    seen = {1: fingerprint.files(repo.path)}
    workspace = Workspace(repo.path)
    workspace.load(in_the_way)
    _untrack(repo, "out.log", "data")
    repo.write("out.log", "the second")
    repo.write("data/a.bin", "the second")
    repo.write("edit.py", "so that it is a state of its own")
    seen[2] = fingerprint.files(repo.path)
    workspace.load(in_the_way)
    seen[LOADED] = fingerprint.files(repo.path)

    at = LOADED
    order = {("undo", LOADED): 2, ("undo", 2): 1, ("redo", 1): 2, ("redo", 2): LOADED}
    trail: list[int] = []
    for step in steps:
        if step.startswith("restore"):
            trail.append(at)
            at = int(step.split()[1])
            outcome = workspace.restore(at)
        else:
            outcome = getattr(workspace, step)()
            at = trail.pop() if trail else order[step, at]
        assert "was not brought back" not in " ".join(outcome.warnings)
        assert fingerprint.files(repo.path) == seen[at], (step, at)


def test_what_stays_aside_is_named(repo: Folder, in_the_way: Path) -> None:
    repo.write("out.log", "precious")
    Workspace(repo.path).load(in_the_way)

    (entry,) = [one for one in Workspace(repo.path).history() if one.aside]
    (finding,) = Workspace(repo.path).doctor()

    place = Path(entry.aside["out.log"])
    assert place.read_text() == "precious"
    assert entry.number == 1
    assert str(place) in finding.problem
    assert finding.expected
    Workspace(repo.path).undo()
    assert Workspace(repo.path).doctor() == []
    assert not place.parent.exists()


def test_what_stays_aside_outlives_the_state_it_belongs_to(repo: Folder, in_the_way: Path) -> None:
    repo.write("out.log", "precious")
    workspace = Workspace(repo.path)
    workspace.load(in_the_way)
    (place,) = workspace.history()[-1].aside.values()
    for number in range(2):  # until no state that is held knows of that load
        repo.write("train.py", f"print({number})\n")
        workspace.load(in_the_way)

    workspace.prune(older_than=0)

    assert len(workspace.history()) == 1
    (finding,) = workspace.doctor()
    assert place in finding.problem
    with pytest.raises(jellyml.JellyError, match="was set aside"):
        workspace.prune(everything=True)
    assert Path(place).read_text() == "precious"


def test_a_thing_set_aside_yields_to_what_is_in_its_place(repo: Folder, in_the_way: Path) -> None:
    """What the user put there since goes aside itself, and comes back with redo."""
    repo.write("out.log", "the first")
    before = fingerprint.files(repo.path)
    Workspace(repo.path).load(in_the_way)
    _untrack(repo, "out.log")
    repo.write("out.log/a/b.txt", "a folder of the user's")
    after = fingerprint.files(repo.path)

    outcome = Workspace(repo.path).undo()

    assert fingerprint.files(repo.path) == before
    Workspace(repo.path).redo()
    assert fingerprint.files(repo.path) == after
    assert outcome.warnings == () or "out.log" in outcome.warnings[0]


def test_what_comes_into_the_way_meanwhile_does_not_stop_an_undo(
    repo: Folder, in_the_way: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write("out.log", "the first")
    Workspace(repo.path).load(in_the_way)
    _typed_before(monkeypatch, lambda: repo.write("out.log", "typed this moment"))

    outcome = Workspace(repo.path).undo()

    assert repo.read("out.log") == b"typed this moment"
    assert repo.read("train.py") == b"print('two')\n"
    (warning,) = outcome.warnings
    place = Path(warning.rpartition(" is at ")[2].removesuffix("."))
    assert place.read_text() == "the first"
    (finding,) = Workspace(repo.path).doctor()
    assert str(place) in finding.problem
    Workspace(repo.path).load(in_the_way)
    Workspace(repo.path).undo()
    assert repo.read("out.log") == b"typed this moment"
    assert place.read_text() == "the first"


def _typed_before(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something happen right before what was set aside comes back."""
    real = mover.Mover._bring_back

    def later(self: mover.Mover, *args: object) -> None:
        act()
        real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(mover.Mover, "_bring_back", later)


# Other file systems.


def _fill(folder: Folder) -> None:
    """Ignored things of every kind."""
    folder.write("out.log", "mine").chmod(0o640)
    folder.write("data/deep/a.bin", os.urandom(3000)).chmod(0o600)
    (folder.path / "data/link").symlink_to("deep")
    (folder.path / "data/hollow").mkdir(mode=0o750)
    os.mkfifo(folder.path / "data/pipe")
    (folder.path / "data").chmod(0o700)


@pytest.mark.parametrize("which", ["repository", "folder"])
@pytest.mark.parametrize("how", ["undo", "a fault", "a fault of undo"])
def test_setting_aside_across_file_systems(
    repo: Folder,
    in_the_way: Path,
    small_disk: Callable[[int], Path],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
    how: str,
) -> None:
    """The repository lies on another disk than the working tree, or the other way round."""
    disk = small_disk(20_000)
    place, git_dir = repo, disk / "git"
    if which == "folder":
        place, git_dir = Folder(disk / "work"), tmp_path / "git"
        shutil.copytree(repo.path, place.path)
    shutil.move(place.path / ".git", git_dir)
    place.write(".git", f"gitdir: {git_dir}\n")  # as git init --separate-git-dir does
    place.git("config", "core.worktree", str(place.path))  # and as JellyML asks for
    _fill(place)
    before = fingerprint.workspace(place)
    if how == "a fault":
        _failing(monkeypatch)
        with pytest.raises(jellyml.JellyError):
            Workspace(place.path).load(in_the_way)
        assert fingerprint.workspace(place) == before
    Workspace(place.path).load(in_the_way)
    loaded = fingerprint.files(place.path)
    assert place.read("data") == b"a file where a folder is"
    if how == "a fault of undo":
        _failing(monkeypatch)
        with pytest.raises(jellyml.JellyError):
            Workspace(place.path).undo()
        assert fingerprint.files(place.path) == loaded

    Workspace(place.path).undo()

    assert fingerprint.workspace(place) == before
    assert Workspace(place.path).doctor() == []
    Workspace(place.path).redo()
    assert fingerprint.files(place.path) == loaded
    Workspace(place.path).undo()
    assert fingerprint.workspace(place) == before


def _failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third thing that is copied over to the other file system fails, once."""
    real, calls = move._copy_over, [0]

    def fails(source: DirEntry, target: DirEntry) -> None:
        if "hollow" not in source.name:
            calls[0] += 1
        if calls[0] == 3:
            calls[0] += 1
            raise OSError(5, "Input/output error", str(source.path))
        real(source, target)

    monkeypatch.setattr(move, "_copy_over", fails)


# Nested repositories.


@pytest.mark.parametrize("kind", ["repository", "submodule", "with an empty folder"])
def test_undo_leaves_a_nested_repository_made_since_whole(
    repo: Folder, model: Path, tmp_path: Path, kind: str
) -> None:
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    nested = Folder(repo.path / "lib/nest")
    if kind == "submodule":
        repo.git("submodule", "-q", "add", str(other_repository(tmp_path)), "lib/nest")
    else:
        nested.path.mkdir()
        nested.git("init", "-q")
        nested.write("inner.py", "1")
        nested.commit()
    nested.write("inner.py", "edited")
    nested.write("new.py", "untracked")
    if kind == "with an empty folder":
        (nested.path / "hollow").mkdir()
    whole = fingerprint.files(nested.path)
    loaded = fingerprint.workspace(repo)

    Workspace(repo.path).undo()

    assert fingerprint.files(nested.path) == whole
    assert nested.git("status", "--porcelain") == b" M inner.py\n?? new.py\n"
    after = fingerprint.workspace(repo)
    files = after.pop("files")
    assert isinstance(files, dict)
    rest = {name: one for name, one in files.items() if not name.startswith("lib/nest")}
    assert {"files": rest, **after} == before
    Workspace(repo.path).redo()
    assert fingerprint.workspace(repo) == loaded


def other_repository(tmp_path: Path) -> Path:
    other = Folder(tmp_path / "library")
    other.path.mkdir()
    other.git("init", "-q")
    other.write("inner.py", "1")
    other.commit()
    return other.path


# Modes.


def test_a_read_only_folder_that_was_removed_since_is_made_again(
    repo: Folder, model: Path, tmp_path: Path, home: Path
) -> None:
    repo.write("closed/deep/a.py", "1")
    repo.write("closed/b.py", "2")
    repo.commit("closed")
    repo.write("closed/untracked.py", "3")
    for name, mode in (("closed/deep", 0o555), ("closed", 0o500)):
        (repo.path / name).chmod(mode)
    before = fingerprint.files(repo.path)

    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()
    (repo.path / "closed").chmod(0o755)
    (repo.path / "closed/deep").chmod(0o755)
    shutil.rmtree(repo.path / "closed")
    said = as_nobody((tmp_path, home), lambda: str(Workspace(repo.path).restore(1)))

    assert "as it was" in said, said
    assert fingerprint.files(repo.path) == before


@pytest.mark.parametrize("tracked", ["alone", "in a folder"])
def test_a_mode_of_what_was_left_out_once(repo: Folder, model: Path, tracked: str) -> None:
    """It was ignored when first seen; then it is tracked, and its mode is not the usual one."""
    name = "tool.log" if tracked == "alone" else "data/deep/tool.sh"
    repo.write(name, "#!/bin/sh\n", executable=True)
    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()
    (repo.path / name).chmod(0o750)
    (repo.path / name).parent.chmod(0o700 if tracked != "alone" else 0o755)
    repo.git("add", "-f", name)
    repo.commit("tracked now")
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert not (repo.path / name).exists()
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


@pytest.mark.parametrize("masks", [(0o022, 0o077), (0o077, 0o022), (0o002, 0o027)])
def test_another_umask_than_before(repo: Folder, model: Path, masks: tuple[int, int]) -> None:
    first, second = masks
    was = os.umask(first)
    try:
        repo.write("same.py", "1").chmod(0o666 & ~first)
        (repo.path / "pack").mkdir()
        repo.write("pack/same.py", "1").chmod(0o666 & ~first)
        (repo.path / "pack/link").symlink_to("same.py")
        repo.commit("more")
        saved(repo, model)
        (repo.path / "hollow").mkdir()
        before = fingerprint.workspace(repo)
        Workspace(repo.path).load(model)
        os.umask(second)
        # As new ones would be under the mask of now: neither state has them as odd.
        for name in ("same.py", "pack/same.py"):
            (repo.path / name).chmod(0o666 & ~second)
        for name in ("pack", "hollow"):
            (repo.path / name).mkdir(exist_ok=True)
            (repo.path / name).chmod(0o777 & ~second)
        Workspace(repo.path).undo()
        assert fingerprint.workspace(repo) == before
    finally:
        os.umask(was)


# Large files.


@pytest.mark.parametrize("where", ["", "vendor/nest"])
def test_a_large_file_comes_back_after_lfs_has_pruned_it(
    repo: Folder, tmp_path: Path, where: str
) -> None:
    """No copy is made: it is the same file under another name, until its state is given up."""
    model = saved(repo, tmp_path / "model.pth")
    place = Folder(repo.path / where)
    if where:
        place.path.mkdir(parents=True)
        place.git("init", "-q")
    content = os.urandom(5000)
    oid = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5000\n"
    place.git("config", "filter.lfs.clean", f"printf '%s' '{pointer}'")
    place.write(".gitattributes", "*.w filter=lfs\n")
    place.write("big.w", content)
    kept = place.write(f".git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}", content)
    place.commit("large")
    os.utime(place.path / "big.w", (1_700_000_000, 1_700_000_000))
    place.git("add", "big.w")
    assert place.git("status", "--porcelain") == b""
    before = fingerprint.files(repo.path)
    Workspace(repo.path).load(model)
    (ours,) = (repo.path / ".git/jellyml/lfs").rglob(oid)
    assert ours.samefile(kept)
    kept.unlink()
    if where:
        (place.path / "big.w").unlink()

    outcome = Workspace(repo.path).undo()

    assert place.read("big.w") == content
    assert outcome.warnings == ()
    now = fingerprint.files(repo.path)
    assert {name: one for name, one in now.items() if "/.git/" not in name} == {
        name: one for name, one in before.items() if "/.git/" not in name
    }
    place.write("big.w", "small\n")
    repo.write("edit.py", "another state")
    Workspace(repo.path).load(model)
    assert ours.exists()
    Workspace(repo.path).prune(older_than=0)
    assert not ours.exists()


def test_where_links_are_not_to_be_had(repo: Folder, tmp_path: Path) -> None:
    """Git's core.symlinks, off by default on Windows: what it calls a link lies as a file."""
    for name in ("kept", "edited", "loaded"):
        (repo.path / name).symlink_to("there")
    repo.commit("with links")
    (repo.path / "loaded").unlink()
    (repo.path / "loaded").symlink_to("elsewhere")
    model = saved(repo, tmp_path / "model.pth")
    repo.git("config", "core.symlinks", "false")
    for name in ("kept", "edited", "loaded"):
        (repo.path / name).unlink()
    repo.git("checkout", "-q", "--", ".")
    repo.write("edited", "as the user has it")
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert [repo.read(name) for name in ("kept", "edited", "loaded")] == (
        [b"there", b"there", b"elsewhere"]
    )
    assert not any((repo.path / name).is_symlink() for name in ("kept", "edited", "loaded"))
    assert repo.git("status", "--porcelain") == b""
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before


def test_temporary_files_in_the_working_tree_are_no_code(
    repo: Folder, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = repo.path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    loaded = fingerprint.files(repo.path)
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    assert fingerprint.files(repo.path) == loaded


IN_PLACE: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_text("mine"),
    "a link": lambda path: path.symlink_to("lib"),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("make", IN_PLACE.values(), ids=IN_PLACE)
def test_what_is_ignored_gives_way_to_an_empty_folder(
    repo: Folder, model: Path, make: Callable[[Path], object]
) -> None:
    (repo.path / "hollow" / "deep").mkdir(parents=True)
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    repo.write(".git/info/exclude", "hollow\n")
    shutil.rmtree(repo.path / "hollow", ignore_errors=True)
    make(repo.path / "hollow")
    after = fingerprint.files(repo.path)

    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    assert fingerprint.files(repo.path) == after


def test_a_folder_in_which_only_ignored_files_lay_comes_back(repo: Folder, model: Path) -> None:
    repo.write("logs/deep/a.log", "ignored")
    Workspace(repo.path).load(model)
    (repo.path / "logs/deep/a.log").unlink()
    Workspace(repo.path).undo()
    assert (repo.path / "logs/deep").is_dir()


def test_an_entry_that_cannot_be_read_can_be_moved_away(repo: Folder, in_the_way: Path) -> None:
    repo.write("out.log", "precious")
    Workspace(repo.path).load(in_the_way)
    entry = repo.path / ".git/jellyml/main/ops/00000001.json"
    entry.write_text("{")
    for act in ("undo", "doctor"):
        with pytest.raises(jellyml.JellyError, match=r"cannot be read .* mv .*\.unreadable"):
            getattr(Workspace(repo.path), act)()
    entry.rename(f"{entry}.unreadable")
    (repo.path / "out.log").unlink()
    repo.git("rm", "-q", "--cached", "out.log")
    repo.write("out.log", "precious too")
    before = fingerprint.files(repo.path)

    Workspace(repo.path).load(in_the_way)
    Workspace(repo.path).undo()
    assert fingerprint.files(repo.path) == before
    lying = (repo.path / ".git/jellyml/main/aside").rglob("*")
    assert [one.read_text() for one in lying if one.is_file()] == ["precious"]


def test_where_the_store_was_removed_by_hand(repo: Folder, model: Path) -> None:
    Workspace(repo.path).load(model)
    shutil.rmtree(repo.path / ".git/jellyml/store")
    before = fingerprint.workspace(repo)
    assert Workspace(repo.path).undo().warnings == ("There is nothing to undo.",)
    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before


def test_a_load_takes_what_the_repository_lacks_and_no_more(repo: Folder, tmp_path: Path) -> None:
    repo.write("large.bin", os.urandom(1_000_000))
    repo.commit("large")
    repo.write("train.py", "print('edited')\n")
    model = saved(repo, tmp_path / "large.pth")
    workspace = Workspace(repo.path)
    workspace.load(model)
    store = workspace.folder.parents[1] / "store"
    packs = sorted((repo.path / ".git/objects/pack").glob("*.pack"))
    workspace.undo()
    workspace.redo()

    assert sum(one.stat().st_size for one in store.rglob("*") if one.is_file()) < 100_000
    assert sorted((repo.path / ".git/objects/pack").glob("*.pack")) == packs
    # And what is not in it is kept alive.
    workspace.undo()
    before = fingerprint.files(repo.path)
    repo.git("checkout", "-q", "--orphan", "empty")
    repo.git("branch", "-q", "-D", "main")
    repo.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    repo.git("gc", "-q", "--prune=now")
    workspace.restore(2)
    assert repo.read("train.py") == b"print('edited')\n"
    repo.git("fsck", "--strict")
    workspace.restore(1)
    assert fingerprint.files(repo.path) == before


@pytest.mark.parametrize(("step", "given_up"), [("write", False), ("drop_others", True)])
def test_pruning_that_ends_in_between_can_be_given_again(
    repo: Folder, model: Path, monkeypatch: pytest.MonkeyPatch, step: str, given_up: bool
) -> None:
    """A full disk, or a kill: nothing is given up, or what was goes with the next one."""
    workspace = Workspace(repo.path)
    workspace.load(model)
    workspace.undo()
    before, count = fingerprint.workspace(repo), len(workspace.history())

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store_packs, step, fail)
        with pytest.raises(OSError, match="No space"):
            workspace.prune(older_than=0)
    assert len(workspace.history()) == (1 if given_up else count)

    workspace.prune(older_than=0)
    assert len(list((workspace.folder.parents[1] / "store/objects/pack").glob("*.pack"))) == 1
    assert len(workspace.history()) == 1
    assert workspace.doctor() == []
    assert fingerprint.workspace(repo) == before
