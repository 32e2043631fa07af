"""Load, undo, redo and restore: what they bring, what they leave, what they say."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import fingerprint
import jellyml
from conftest import Folder
from jellyml.errors import (
    JellyError,
    JellyWarning,
    NoSnapshot,
    NotARepository,
    UnsafeToContinue,
    UsageError,
)
from jellyml.workspace import Workspace


def saved(folder: Folder, path: Path, **options: object) -> Path:
    """A real checkpoint with the folder's code in it."""
    snapshot = jellyml.create_snapshot(folder.path, strict=True, **options)  # type: ignore[arg-type]
    torch.save({"weights": torch.arange(4), **snapshot}, path)
    return path


@pytest.fixture
def model(repo: Folder, tmp_path: Path) -> Path:
    """A checkpoint whose code has an edit, a new file and a deletion that no commit has."""
    repo.write("train.py", "print('edited')\n")
    repo.write("new file.py", "print('new')\n")
    repo.write("run.sh", "#!/bin/sh\n", executable=True)
    (repo.path / "lib/net.py").unlink()
    path = saved(repo, tmp_path / "model.pth")
    repo.git("reset", "-q", "--hard")
    repo.git("clean", "-fdq")
    return path


def test_load_brings_the_code_as_it_was(repo: Folder, model: Path) -> None:
    repo.write("train.py", "print('since')\n")
    repo.write("later.py", "print('later')\n")

    outcome = Workspace(repo.path).load(model)

    assert repo.read("train.py") == b"print('edited')\n"
    assert repo.read("new file.py") == b"print('new')\n"
    assert os.access(repo.path / "run.sh", os.X_OK)
    assert not (repo.path / "lib").exists()
    assert not (repo.path / "later.py").exists()
    assert repo.git("status", "--porcelain") == b""
    assert repo.git("rev-parse", "HEAD").decode().strip() == outcome.commit
    assert repo.git("rev-parse", "--abbrev-ref", "HEAD") == b"HEAD\n"


def test_undo_brings_everything_back(repo: Folder, model: Path) -> None:
    repo.write("train.py", "print('staged')\n")
    repo.git("add", "train.py")
    repo.write("train.py", "print('and more')\n")
    repo.write("later.py", "print('later')\n").chmod(0o600)
    repo.write("intended.py", "x")
    repo.git("add", "-N", "intended.py")
    repo.write("noise.log", "ignored")
    (repo.path / "hollow/deep").mkdir(parents=True)
    (repo.path / "link").symlink_to("../elsewhere")
    repo.git("stash", "push", "-q", "--keep-index", "--", "lib")
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    loaded = fingerprint.workspace(repo)
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    after = fingerprint.workspace(repo)
    assert after["files"] == loaded["files"]
    assert after["head"] == loaded["head"]


def test_what_does_not_change_keeps_its_time(repo: Folder, model: Path) -> None:
    before = fingerprint.files(repo.path, times=True)
    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()
    assert fingerprint.files(repo.path, times=True)[".gitignore"] == before[".gitignore"]


def test_edits_after_a_load_survive_undo_and_come_back_with_redo(repo: Folder, model: Path) -> None:
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    repo.write("train.py", "print('after the load')\n")
    repo.write("fresh.py", "1")
    edited = fingerprint.files(repo.path)

    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    repo.write("other.py", "between")
    repo.commit("between undo and redo")

    Workspace(repo.path).redo()
    assert fingerprint.files(repo.path) == edited
    Workspace(repo.path).undo()
    assert repo.read("other.py") == b"between"


def test_commits_on_top_get_a_branch(repo: Folder, model: Path) -> None:
    Workspace(repo.path).load(model)
    repo.write("train.py", "print('on top')\n")
    on_top = repo.commit("on top")

    outcome = Workspace(repo.path).undo()

    name = f"jellyml-{on_top[:8]}"
    assert repo.git("rev-parse", name).decode().strip() == on_top
    assert any(name in warning for warning in outcome.warnings)
    assert repo.git("rev-parse", "--abbrev-ref", "HEAD") == b"main\n"


def test_a_branch_that_moved_is_not_touched(repo: Folder, model: Path) -> None:
    was = repo.git("rev-parse", "HEAD")
    Workspace(repo.path).load(model)
    repo.git("branch", "-f", "main", "HEAD~2")
    moved = repo.git("rev-parse", "main")

    outcome = Workspace(repo.path).undo()

    assert repo.git("rev-parse", "main") == moved
    assert repo.git("rev-parse", "HEAD") == was
    assert any("main has moved" in warning for warning in outcome.warnings)


def test_undo_and_redo_after_gc(repo: Folder, model: Path) -> None:
    repo.write("staged.py", "only in the index")
    repo.git("add", "staged.py")
    (repo.path / "staged.py").write_text("on disk")
    for name in ("intended.py", "intended, and gone.py"):
        repo.write(name, "not empty")
        repo.git("add", "-N", name)
    (repo.path / "intended, and gone.py").unlink()
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    loaded = fingerprint.files(repo.path)
    _prune(repo)
    Workspace(repo.path).undo()
    _prune(repo)
    assert fingerprint.workspace(repo) == before
    repo.git("fsck", "--strict")
    repo.git("write-tree")

    Workspace(repo.path).redo()

    assert fingerprint.files(repo.path) == loaded
    assert repo.git("status", "--porcelain") == b""
    repo.git("fsck", "--strict")


def _prune(repo: Folder) -> None:
    repo.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    repo.git("gc", "-q", "--prune=now")


def test_ignored_files_stay_even_when_the_code_has_no_ignore_file(
    repo: Folder, tmp_path: Path
) -> None:
    repo.git("rm", "-q", "--cached", ".gitignore")
    (repo.path / ".gitignore").unlink()
    model = saved(repo, tmp_path / "model.pth")
    repo.git("reset", "-q", "--hard")
    repo.write("noise.log", "precious")
    repo.write("data/big.bin", "precious too")
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert not (repo.path / ".gitignore").exists()
    assert repo.read("noise.log") == b"precious"
    repo.write("train.py", "an edit")
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


def test_an_ignored_file_in_the_way_is_set_aside_and_brought_back(
    repo: Folder, tmp_path: Path
) -> None:
    repo.write("out.log", "of the snapshot")
    repo.git("add", "-f", "out.log")
    repo.write("logs.log/inner.py", "a file below a folder of that name")
    repo.git("add", "-f", "logs.log")
    model = saved(repo, tmp_path / "model.pth")
    repo.git("reset", "-q", "--hard")
    repo.write("out.log", "mine, ignored").chmod(0o640)
    repo.write("logs.log", "mine, a file")
    before = fingerprint.workspace(repo)

    outcome = Workspace(repo.path).load(model)

    assert repo.read("out.log") == b"of the snapshot"
    aside = {change.path for change in outcome.changes if change.kind == "move aside"}
    assert aside == {"out.log", "logs.log"}
    assert "out.log" in " ".join((*outcome.message, *outcome.warnings))
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    assert repo.read("out.log") == b"of the snapshot"
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before


def test_the_checkpoint_never_moves(repo: Folder, model: Path) -> None:
    inside = repo.path / "model.pth"
    inside.write_bytes(model.read_bytes())
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(inside)
    assert inside.read_bytes() == model.read_bytes()
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


@pytest.mark.parametrize("operation", ["merge", "rebase", "cherry-pick", "bisect"])
def test_an_operation_in_progress_is_left_and_found_again(
    repo: Folder, model: Path, operation: str
) -> None:
    repo.git("switch", "-q", "-c", "side", "HEAD~1")
    repo.write("train.py", "print('side')\n")
    side = repo.commit("side")
    repo.git("switch", "-q", "main")
    commands = {
        "merge": [["merge", "side"]],
        "rebase": [["rebase", "side"]],
        "cherry-pick": [["cherry-pick", side]],
        "bisect": [["bisect", "start", "HEAD", "HEAD~1"]],
    }
    for command in commands[operation]:
        repo.git(*command, check=False)
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert not (repo.path / ".git/MERGE_HEAD").exists()
    assert not (repo.path / ".git/rebase-merge").exists()
    assert repo.git("status", "--porcelain") == b""
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


def test_a_linked_worktree_has_a_journal_of_its_own(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    linked = Folder(tmp_path / "linked")
    repo.git("worktree", "add", "-q", "-b", "other", str(linked.path))
    main, other = fingerprint.workspace(repo), fingerprint.workspace(linked)

    Workspace(str(linked.path)).load(model)

    assert fingerprint.files(repo.path) == main["files"]
    assert Workspace(repo.path).undo().warnings == ("There is nothing to undo.",)
    Workspace(str(linked.path)).undo()
    assert fingerprint.workspace(linked) == other


def test_any_folder_inside_is_the_same_workspace(repo: Folder, model: Path) -> None:
    before = fingerprint.workspace(repo)
    Workspace(repo.path / "lib").load(model)
    assert [path.name for path in (repo.path / ".git/jellyml").glob("*/ops")] == ["ops"]
    assert Workspace(repo.path).folder == repo.path / ".git/jellyml/main/ops"
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before


def test_load_where_there_is_no_repository(model: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "plain")
    folder.write("notes.txt", "mine")
    folder.write("data/x.bin", "mine too")
    before = fingerprint.files(folder.path)

    outcome = Workspace(folder.path).load(model)

    assert folder.read("train.py") == b"print('edited')\n"
    assert folder.read("notes.txt") == b"mine"
    assert outcome.commit
    back = Workspace(folder.path).undo()
    assert fingerprint.files(folder.path) == before
    assert any("rm -r" in line for line in back.message)
    Workspace(folder.path).redo()
    assert folder.read("new file.py") == b"print('new')\n"


def test_load_refuses_to_write_over_files_where_there_is_no_repository(
    model: Path, tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "plain")
    folder.write("train.py", "mine")
    before = fingerprint.files(folder.path)

    with pytest.raises(UnsafeToContinue, match=r"train\.py.*--to"):
        Workspace(folder.path).load(model)

    assert fingerprint.files(folder.path) == before
    assert not (folder.path / ".git").exists()


def test_load_to_a_new_folder(repo: Folder, model: Path, tmp_path: Path) -> None:
    before = fingerprint.workspace(repo)
    target = Folder(tmp_path / "there/below")

    Workspace(repo.path).load(model, to=target.path)

    assert target.read("train.py") == b"print('edited')\n"
    assert target.git("status", "--porcelain") == b""
    assert fingerprint.workspace(repo) == before
    with pytest.raises(UsageError, match="not empty"):
        Workspace(repo.path).load(model, to=target.path)


def test_a_dry_run_changes_nothing(repo: Folder, model: Path, tmp_path: Path) -> None:
    repo.write("later.py", "1")
    before = fingerprint.workspace(repo)

    outcome = Workspace(repo.path).load(model, dry_run=True)

    kinds = {change.path: change.kind for change in outcome.changes}
    assert kinds == {
        "train.py": "modify",
        "new file.py": "add",
        "run.sh": "add",
        "lib/net.py": "delete",
        "later.py": "delete",
    }
    assert fingerprint.workspace(repo) == before
    assert not (repo.path / ".git/jellyml").exists()
    plain = tmp_path / "plain"
    plain.mkdir()
    Workspace(plain).load(model, dry_run=True)
    assert list(plain.iterdir()) == []


def test_restore_goes_to_any_state_and_can_be_undone(repo: Folder, model: Path) -> None:
    start = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    repo.write("train.py", "edited once")
    Workspace(repo.path).undo()
    repo.write("train.py", "edited twice")
    Workspace(repo.path).load(model)
    states = {entry.number for entry in Workspace(repo.path).history()}
    now = fingerprint.workspace(repo)

    Workspace(repo.path).restore(min(states))
    assert fingerprint.workspace(repo) == start
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == now
    with pytest.raises(UsageError):
        Workspace(repo.path).restore(max(states) + 50)


def test_forgetting_keeps_the_states(repo: Folder, model: Path) -> None:
    start = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    Workspace(repo.path).forget_last()
    assert Workspace(repo.path).undo().warnings == ("There is nothing to undo.",)

    Workspace(repo.path).restore(1)

    assert fingerprint.workspace(repo) == start


def test_pruning_gives_up_old_states_and_nothing_else(repo: Folder, model: Path) -> None:
    repo.write("precious.py", "untracked")
    start = fingerprint.workspace(repo)
    for number in range(3):
        Workspace(repo.path).load(model)
        repo.write("train.py", f"edit {number}")
        Workspace(repo.path).undo()
    count = len(Workspace(repo.path).history())

    Workspace(repo.path).prune(older_than=0)

    assert len(Workspace(repo.path).history()) == 1 < count
    assert fingerprint.workspace(repo) == start
    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == start
    assert Workspace(repo.path).doctor() == []

    Workspace(repo.path).prune(everything=True)
    assert not (repo.path / ".git/jellyml").exists()
    assert b"refs/jellyml" not in repo.git("for-each-ref")
    repo.git("fsck", "--strict")


def test_a_foreign_index_lock_stops_everything(repo: Folder, model: Path) -> None:
    (repo.path / ".git/index.lock").touch()
    before = fingerprint.workspace(repo)
    began = time.monotonic()

    with pytest.raises(UnsafeToContinue, match=r"index\.lock"):
        Workspace(repo.path).load(model)

    assert time.monotonic() - began >= 2.5
    assert fingerprint.workspace(repo) == before


def test_line_ends_and_other_conversions_come_back_to_the_byte(
    repo: Folder, tmp_path: Path
) -> None:
    repo.write(".gitattributes", "*.txt text eol=crlf\n*.id ident\n*.auto text=auto\n")
    repo.write("a.txt", "one\ntwo\n")
    repo.write("b.id", "$Id$\n")
    repo.write("c.auto", "one\r\ntwo\r\n")
    repo.commit("rules")
    model = saved(repo, tmp_path / "rules.pth")
    # On disk with other ends than git would write: unmodified all the same.
    repo.write("a.txt", "one\ntwo\n")
    repo.write("c.auto", "one\r\ntwo\n")
    repo.git("add", "-A")
    assert repo.git("status", "--porcelain") == b""
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert repo.read("a.txt") == b"one\ntwo\n"  # unmodified, so left alone
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    repo.write("a.txt", "other\n")
    repo.commit("other")
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert repo.read("a.txt") == b"one\r\ntwo\r\n"
    assert repo.git("status", "--porcelain") == b""
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


@pytest.mark.parametrize("rule", ["attributes", "configuration"])
def test_bytes_written_under_rules_that_are_gone_come_back(
    repo: Folder, tmp_path: Path, rule: str
) -> None:
    """Git goes on calling such a file clean, by its size and times."""
    if rule == "attributes":
        repo.write(".gitattributes", "*.txt text\n")
    else:
        repo.git("config", "core.autocrlf", "input")
    repo.write("a.txt", "one\r\ntwo\r\n")
    repo.commit("in other bytes")
    repo.write("a.txt", "other\n")
    model = saved(repo, tmp_path / "model.pth")
    repo.git("reset", "-q", "--hard")
    repo.write("a.txt", "one\r\ntwo\r\n")
    os.utime(repo.path / "a.txt", (1_700_000_000, 1_700_000_000))  # or git would read it again
    repo.git("add", "a.txt")
    if rule == "attributes":
        repo.write(".gitattributes", "*.txt -text\n")
    else:
        repo.git("config", "core.autocrlf", "false")
    assert b"a.txt" not in repo.git("status", "--porcelain")
    before = fingerprint.workspace(repo)

    outcome = Workspace(repo.path).load(model)
    assert not outcome.warnings
    assert repo.read("a.txt") == b"other\n"
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before

    Workspace(repo.path).redo()
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before


@pytest.mark.parametrize("where", ["", "lib/", "lib/deep/er/", "odd\nname/"])
def test_rules_that_lie_there_already_count_in_a_load(
    repo: Folder, tmp_path: Path, where: str
) -> None:
    repo.write(f"{where}.gitattributes", "*.txt text eol=crlf\n")
    repo.write(f"{where}a.txt", "one\n")
    repo.write(f"{where}below/b.txt", "one\n")
    repo.write("else.where/c.txt", "one\n")
    repo.commit("rules")
    for name in (f"{where}a.txt", f"{where}below/b.txt", "else.where/c.txt"):
        repo.write(name, "two\n")
    model = saved(repo, tmp_path / "rules.pth")
    repo.git("reset", "-q", "--hard")

    Workspace(repo.path).load(model)

    assert repo.read(f"{where}a.txt") == b"two\r\n"
    assert repo.read(f"{where}below/b.txt") == b"two\r\n"
    assert repo.read("else.where/c.txt") == (b"two\n" if where else b"two\r\n")
    assert repo.git("status", "--porcelain") == b""


def test_nested_repositories_are_written_as_files_and_never_removed(
    repo: Folder, tmp_path: Path
) -> None:
    nested = Folder(repo.path / "vendor")
    nested.path.mkdir()
    nested.git("init", "-q")
    nested.write("v.py", "committed")
    nested.commit()
    nested.write("v.py", "dirty")
    nested.write("untracked.py", "u")
    model = saved(repo, tmp_path / "model.pth")
    nested.write("v.py", "other")
    (nested.path / "untracked.py").unlink()
    before, inner = fingerprint.workspace(repo), fingerprint.files(nested.path / ".git")

    Workspace(repo.path).load(model)
    assert nested.read("v.py") == b"dirty"
    assert nested.read("untracked.py") == b"u"
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    assert fingerprint.files(nested.path / ".git") == inner

    plain = Folder(tmp_path / "plain")
    Workspace(tmp_path).load(model, to=plain.path)
    assert plain.read("vendor/v.py") == b"dirty"


def test_a_cut_history_grows_on_to_where_it_was_cut(repo: Folder, tmp_path: Path) -> None:
    head = repo.git("rev-parse", "HEAD").decode().strip()
    repo.write("train.py", "edited")
    model = saved(repo, tmp_path / "cut.pth", history="none")

    outcome = Workspace(repo.path).load(model)
    assert repo.git("rev-parse", "HEAD~1").decode().strip() == head
    Workspace(repo.path).undo()

    elsewhere = Folder(tmp_path / "elsewhere")
    alone = Workspace(tmp_path).load(model, to=elsewhere.path)
    assert elsewhere.git("rev-list", "--count", "HEAD") == b"1\n"
    assert any("history" in warning for warning in alone.warnings)
    assert alone.commit != outcome.commit


def test_a_repository_can_move_between(repo: Folder, model: Path, tmp_path: Path) -> None:
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    moved = Folder(repo.path.rename(tmp_path / "moved away"))

    Workspace(moved.path).undo()

    assert fingerprint.workspace(moved) == before


@pytest.mark.parametrize("setting", ["splitIndex", "sparse", "untrackedCache"])
def test_settings_of_the_index(repo: Folder, model: Path, setting: str) -> None:
    if setting == "splitIndex":
        repo.git("config", "core.splitIndex", "true")
        repo.write("more.py", "1")
        repo.git("update-index", "--split-index", "--add", "more.py")
    elif setting == "sparse":
        repo.git("sparse-checkout", "set", "--no-cone", "/*.py")
        assert not (repo.path / "lib").exists()
    else:
        repo.git("config", "core.untrackedCache", "true")
        repo.git("update-index", "--force-untracked-cache")
        repo.git("status")
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert repo.read("train.py") == b"print('edited')\n"
    assert repo.git("status", "--porcelain") == b""
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


def test_flags_on_paths(repo: Folder, model: Path) -> None:
    repo.git("update-index", "--assume-unchanged", "train.py")
    repo.git("update-index", "--skip-worktree", "lib/net.py")
    repo.write("train.py", "print('unseen')\n")
    repo.write("lib/net.py", "unseen too\n")
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert repo.read("train.py") == b"print('edited')\n"
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


def test_errors_say_what_to_do(repo: Folder, tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / "bare.pth")
    with pytest.raises(NoSnapshot, match="carries no"):
        Workspace(repo.path).load(tmp_path / "bare.pth")
    with pytest.raises(JellyError):
        Workspace(repo.path).load(tmp_path / "missing.pth")
    with pytest.raises(NotARepository, match="is not a git repository"):
        Workspace(tmp_path).undo()


def test_nothing_is_made_where_nothing_was_loaded(repo: Folder) -> None:
    assert Workspace(repo.path).history() == []
    assert Workspace(repo.path).doctor() == []
    nothing = Workspace(repo.path).prune(older_than=0)
    assert nothing.warnings == ("There is nothing to prune.",)
    assert not (repo.path / ".git/jellyml").exists()
    assert str(Workspace(repo.path).folder).startswith(str(repo.path / ".git"))


def test_asking_where_nothing_has_happened_leaves_nothing(repo: Folder) -> None:
    workspace = Workspace(repo.path)
    for ask in (workspace.undo, workspace.redo, workspace.forget_all, workspace.prune):
        assert "There is nothing to " in ask().warnings[0]
    with pytest.raises(JellyError, match="There is no state 1"):
        workspace.restore(1)
    assert not (repo.path / ".git/jellyml").exists()


def test_filters_of_the_user_never_run(repo: Folder, tmp_path: Path, home: Path) -> None:
    repo.write(".gitattributes", "*.py filter=evil\n")
    repo.write("train.py", "print('filtered')\n")
    with pytest.warns(JellyWarning, match="filter was not run"):
        model = saved(repo, tmp_path / "model.pth")
    repo.git("reset", "-q", "--hard")
    repo.git("clean", "-fdq")
    mark = tmp_path / "ran"
    for kind in ("clean", "smudge", "process"):
        repo.git("config", "--global", f"filter.evil.{kind}", f"touch {mark}; cat")
    hook = repo.write(".git/hooks/post-checkout", f"#!/bin/sh\ntouch {mark}\n", executable=True)
    for name in ("reference-transaction", "post-index-change", "post-rewrite"):
        (hook.parent / name).write_bytes(hook.read_bytes())
        (hook.parent / name).chmod(0o755)

    Workspace(repo.path).load(model)

    assert not mark.exists()
    assert repo.read("train.py") == b"print('filtered')\n"


def test_the_store_is_private_and_never_pushed(repo: Folder, model: Path, tmp_path: Path) -> None:
    repo.write("secret.py", "untracked")
    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote"], check=True)
    repo.git("push", "-q", "--mirror", str(tmp_path / "remote"))

    pushed = Folder(tmp_path / "remote").git("rev-list", "--objects", "--all")

    assert b"secret.py" not in pushed
    assert b"new file.py" not in pushed
    assert (repo.path / ".git/jellyml").stat().st_mode & 0o077 == 0


@pytest.mark.torture
def test_a_large_file_is_loaded_piece_by_piece(repo: Folder, tmp_path: Path) -> None:
    with (repo.path / "large.bin").open("wb") as file:
        file.truncate(150 << 20)
    repo.commit("large")
    model = saved(repo, tmp_path / "model.pth")
    repo.git("rm", "-q", "large.bin")
    repo.commit("small again")
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (100 << 20,) * 2);"
        "from jellyml.workspace import Workspace; Workspace().load(sys.argv[1])"
    )

    subprocess.run([sys.executable, "-c", script, model], cwd=repo.path, check=True)

    assert (repo.path / "large.bin").stat().st_size == 150 << 20


def test_thousands_of_folders_are_looked_through_once(folder: Folder, tmp_path: Path) -> None:
    """To look up one after the other in a folder of all would take git past its limits."""
    folder.git("init", "-q")
    blob = folder.git("hash-object", "-w", "--stdin", stdin=b"one\n").decode().strip()
    rules = folder.git("hash-object", "-w", "--stdin", stdin=b"* text eol=crlf\n").decode().strip()
    names = [f"{number:05}/{'x' * 90}" for number in range(20_000)]
    rows = [f"100644 {blob}\t{name}\n" for name in names]
    rows.append(f"100644 {rules}\t19999/.gitattributes\n")
    folder.git("update-index", "--index-info", stdin="".join(rows).encode())
    folder.git("commit", "-q", "-m", "many")
    folder.git("checkout-index", "-a")
    model = saved(folder, tmp_path / "many.pth")

    outcome = Workspace(tmp_path).load(model, to=tmp_path / "new")

    assert len(outcome.changes) == len(rows)
    assert (tmp_path / "new" / names[0]).read_bytes() == b"one\n"
    assert (tmp_path / "new" / names[-1]).read_bytes() == b"one\r\n"
