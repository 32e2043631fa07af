"""``fill`` and ``strip``: every reader goes on as before, and the model comes back to the byte."""

import hashlib
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import jellyml
from checkpoint_files import bundle, checkpoint, model, our_filling, saved, tensor
from conftest import Folder
from jellyml.checkpoint import (
    MANIFEST_COMING,
    MANIFEST_SIDECAR,
    SIDECAR,
    Checkpoint,
    apply_edit,
    fill,
    sidecar,
)
from jellyml.errors import CannotCarry, JellyWarning, NoSnapshot, UnsafeToContinue, UsageError
from jellyml.formats.edit import Edit
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.formats.registry import format_of
from jellyml.fs import atomic, locks
from jellyml.snapshot import serialization
from jellyml.snapshot.facts import CodeFacts


def manifest_record(**facts: object) -> bytes:
    return serialization.manifest_record({"jellyml": "2", **facts})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Another checkpoint, whose snapshot is put in."""
    path = tmp_path / "source.pth"
    path.write_bytes(checkpoint(**{MANIFEST_KEY: tensor(manifest_record(notes={"lr": 1}))}))
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "model.pth"
    path.write_bytes(saved(model()))
    return path


def loads(path: Path) -> bool:
    found = torch.load(path, weights_only=True)
    module = torch.nn.Linear(3, 2, bias=False)
    module.load_state_dict({"weight": found["weight"]}, strict=True)
    zipped = not zipfile.is_zipfile(path) or zipfile.ZipFile(path).testzip() is None
    return zipped and set(found) == set(model())


def test_fill_and_strip(plain: Path, source: Path) -> None:
    original, mode = plain.read_bytes(), plain.stat().st_mode
    filled = jellyml.fill(plain, source=source)
    assert (filled.format, filled.replaced, filled.commit) == ("torch zip", False, "1" * 40)
    assert loads(plain)
    assert plain.read_bytes().startswith(original)
    found = Checkpoint.open(plain)
    assert found.records()[0] == our_filling()
    assert found.manifest == {"jellyml": "2", "notes": {"lr": 1}}
    assert found.others == 0
    assert jellyml.strip(plain) == fill.Stripped(plain, "exact", more=False)
    assert plain.read_bytes() == original
    assert plain.stat().st_mode == mode
    with pytest.raises(NoSnapshot):
        jellyml.strip(plain)


def test_filling_again_replaces(plain: Path, source: Path) -> None:
    original = plain.read_bytes()
    jellyml.fill(plain, source=source)
    once = plain.read_bytes()
    assert jellyml.fill(plain, source=source).replaced
    assert plain.read_bytes() == once
    jellyml.fill(plain, source=plain)  # its own one
    assert plain.read_bytes() == once
    jellyml.strip(plain)
    assert plain.read_bytes() == original


def test_the_runs_own_snapshot_is_the_truth(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "own.pth"
    own = {KEY: tensor(our_filling()), MANIFEST_KEY: tensor(manifest_record(notes="own"))}
    path.write_bytes(saved({**model(), **own}))
    before = path.read_bytes()
    with pytest.raises(CannotCarry, match="its run put there"):
        jellyml.fill(path, source=source)
    assert path.read_bytes() == before
    filled = jellyml.fill(path, source=source, replace=True)
    assert filled.replaced
    assert b'"notes": "own"' not in path.read_bytes()
    assert Checkpoint.open(path).manifest == {"jellyml": "2", "notes": {"lr": 1}}
    assert Checkpoint.open(path).others == 0
    assert zipfile.ZipFile(path).testzip() is None


def test_what_came_by_a_key_is_wiped(tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    own = {KEY: tensor(our_filling()), MANIFEST_KEY: tensor(manifest_record())}
    path.write_bytes(saved({**model(), **own}))
    size = path.stat().st_size
    path.chmod(0o640)
    assert jellyml.strip(path).how == "wiped"
    assert path.stat().st_size == size
    assert path.stat().st_mode & 0o777 == 0o640
    found = torch.load(path, weights_only=True)
    assert found[KEY].count_nonzero() == found[MANIFEST_KEY].count_nonzero() == 0
    assert torch.equal(found["weight"], model()["weight"])
    assert zipfile.ZipFile(path).testzip() is None
    with pytest.raises(NoSnapshot):
        Checkpoint.open(path)


BEHIND = b"weights that were saved behind it" * 1000


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps({"code": our_filling(), "model": BEHIND}, 4),
        pickle.dumps({"code": our_filling(), "record": manifest_record(), "model": BEHIND}, 4),
        pickle.dumps({"record": manifest_record(), "code": our_filling(), "model": BEHIND}, 4),
        saved(
            {KEY: tensor(our_filling()), "model": tensor(BEHIND)},
            _use_new_zipfile_serialization=False,
        ),
        saved({KEY: tensor(our_filling() + BEHIND)}),
        saved({"code": our_filling(), "model": BEHIND}, pickle_protocol=4),
        b"\x89HDF\r\n\x1a\n" + bytes(2000) + our_filling() + manifest_record() + BEHIND,
    ],
    ids=["pickle", "both", "turned", "legacy torch", "one tensor", "in torch's pickle", "HDF5"],
)
def test_what_lies_behind_it_is_not_wiped(tmp_path: Path, data: bytes, source: Path) -> None:
    """Only a search finds it in these, and that does not see where it ends."""
    path = tmp_path / "model"
    path.write_bytes(data)
    assert jellyml.strip(path) == fill.Stripped(path, "wiped", more=False)
    wiped = path.read_bytes()
    assert len(wiped) == len(data)
    assert wiped.count(BEHIND) == 1
    assert bundle() not in wiped
    assert b"jelly_ml_manifest" not in wiped
    if not data.startswith(b"\x89HDF"):
        path.write_bytes(data)
        jellyml.fill(path, source=source, replace=True)
        assert path.read_bytes().count(BEHIND) == 1


def test_one_behind_the_other_comes_out_in_turn(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "own.pth"
    path.write_bytes(checkpoint())
    with path.open("rb") as file:
        edit = format_of(file).fill(file, {KEY: our_filling()})
    apply_edit.amend(path, edit, path.stat())
    assert Checkpoint.open(path).others == 1
    assert jellyml.strip(path) == fill.Stripped(path, "exact", more=True)
    assert jellyml.strip(path) == fill.Stripped(path, "wiped", more=False)


def test_links_only_when_asked(plain: Path, source: Path, tmp_path: Path) -> None:
    link, name = tmp_path / "link.pth", tmp_path / "name.pth"
    link.symlink_to(plain)
    original = plain.read_bytes()
    with pytest.raises(UnsafeToContinue, match="symbolic link"):
        jellyml.fill(link, source=source)
    jellyml.fill(link, source=source, follow_links=True)
    assert link.is_symlink()
    with pytest.raises(UnsafeToContinue, match="symbolic link"):
        jellyml.strip(link)
    jellyml.strip(link, follow_links=True)
    assert plain.read_bytes() == original
    os.link(plain, name)
    with pytest.raises(UnsafeToContinue, match="2 names"):
        jellyml.fill(plain, source=source)
    assert plain.read_bytes() == original


def test_what_cannot_carry_it(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no checkpoint")
    with pytest.raises(CannotCarry, match="not one that is known") as refused:
        jellyml.fill(path, source=source)
    assert str(tmp_path) in refused.value.fix
    assert path.read_text() == "no checkpoint"
    with pytest.raises(NoSnapshot, match="There is no file"):
        jellyml.fill(tmp_path / "missing.pth", source=source)


def test_a_snapshot_that_failed_is_not_put_in(plain: Path, source: Path) -> None:
    before = plain.read_bytes()
    failed = jellyml.Snapshot(b"", manifest_record(), CodeFacts(root=Path(), error="no git"))
    with pytest.raises(UsageError, match="holds no code"):
        jellyml.fill(plain, failed)
    assert plain.read_bytes() == before


def tree_of(path: Path, repo: Folder) -> set[str]:
    """The names in the code that a checkpoint carries."""
    bundle = repo.path.with_name("found.bundle")
    bundle.write_bytes(b"".join(Checkpoint.open(path).bundle()))
    repo.git("fetch", "-q", str(bundle), "HEAD")
    names = repo.git("ls-tree", "-r", "-z", "--name-only", "FETCH_HEAD").decode().split("\0")
    return set(names) - {""}


def test_a_checkpoint_is_no_part_of_its_own_code(repo: Folder, tmp_path: Path) -> None:
    """However small, filled twice too, by a link, or a folder; and a load takes nothing else."""
    repo.write("train.py", "edited\n")
    folder = repo.path / "runs" / "accelerated"
    folder.mkdir(parents=True)
    (folder / "random_states_0.pkl").write_bytes(b"small")
    one, other = (repo.path / "runs" / name for name in ("a.pth", "b.pth"))
    one.write_bytes(saved(model()))
    other.write_bytes(saved(model()))
    (repo.path / "runs" / "link.pth").symlink_to("a.pth")
    rest = {*repo.git("ls-files").decode().split(), "runs/link.pth", "runs/b.pth"}
    commits = {jellyml.fill(one, code_dir=repo.path).commit for _ in range(2)}
    by_link = repo.path / "runs" / "link.pth"
    commits.add(jellyml.fill(by_link, code_dir=repo.path, follow_links=True).commit)
    assert len(commits) == 1
    assert tree_of(one, repo) == rest | {"runs/accelerated/random_states_0.pkl"}
    outcome = jellyml.Workspace(repo.path).load(one, dry_run=True)
    assert not outcome.changes
    jellyml.fill(folder, code_dir=repo.path)
    assert tree_of(folder, repo) == rest


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "checkpoint-500"
        folder.mkdir()
        (folder / "model-00001-of-00002.safetensors").write_bytes(b"weights")
        return folder

    def test_fill_and_strip(self, folder: Path, source: Path) -> None:
        jellyml.fill(folder, source=source)
        found = Checkpoint.open(folder)
        assert found.records()[0][1024:] == our_filling()[1024:]
        assert (found.manifest or {})["notes"] == {"lr": 1}
        assert jellyml.fill(folder, source=folder).replaced
        jellyml.strip(folder)
        assert [each.name for each in folder.iterdir()] == ["model-00001-of-00002.safetensors"]

    def test_nothing_to_strip(self, folder: Path, source: Path) -> None:
        with pytest.raises(NoSnapshot, match="beside the files"):
            jellyml.strip(folder)
        jellyml.fill(folder, source=source)
        (folder / SIDECAR).unlink()  # as far as a strip came that was killed
        jellyml.strip(folder)
        assert [each.name for each in folder.iterdir()] == ["model-00001-of-00002.safetensors"]

    def test_a_kill_leaves_the_old_pair_or_the_new(self, folder: Path, source: Path) -> None:
        jellyml.fill(folder, source=source)
        old = {name: (folder / name).read_bytes() for name in (SIDECAR, MANIFEST_SIDECAR)}
        newer = old[SIDECAR].replace(b" HEAD\n", b" HEAD\n", 1) + b"more"
        coming = serialization.sidecar_manifest(manifest_record(notes="new"), newer)
        (folder / MANIFEST_COMING).write_bytes(coming)
        assert (Checkpoint.open(folder).manifest or {})["notes"] == {"lr": 1}
        (folder / SIDECAR).write_bytes(newer)
        assert (Checkpoint.open(folder).manifest or {})["notes"] == "new"

    @pytest.mark.parametrize("searched", [64 << 20, 0])
    def test_what_the_run_put_into_a_file_is_the_truth(
        self, folder: Path, source: Path, searched: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Wiped only when that is said. A file that is too large to search is looked at."""
        monkeypatch.setattr(sidecar, "_SEARCHED", searched)
        part, weights = folder / "custom_checkpoint_0.pkl", torch.arange(4)
        notes = tensor(manifest_record(notes="of the run"))
        torch.save({"w": weights, KEY: tensor(our_filling()), MANIFEST_KEY: notes}, part)
        before = part.read_bytes()
        with pytest.raises(CannotCarry, match=r"custom_checkpoint_0.pkl .* truth") as refused:
            jellyml.fill(folder, source=source)
        assert "--replace" in refused.value.fix
        assert part.read_bytes() == before
        assert not (folder / SIDECAR).exists()
        assert jellyml.fill(folder, source=source, replace=True).replaced
        assert (Checkpoint.open(folder).manifest or {})["notes"] == {"lr": 1}
        assert torch.equal(torch.load(part)["w"], weights)
        with pytest.raises(NoSnapshot):
            Checkpoint.open(part)
        jellyml.fill(folder, source=source)

    def test_what_fill_put_into_a_file_is_no_hindrance(self, folder: Path, source: Path) -> None:
        part = folder / "adapter_model.bin"
        part.write_bytes(saved({"w": torch.arange(4)}))
        jellyml.fill(part, source=source)
        assert not jellyml.fill(folder, source=source).replaced
        assert Checkpoint.open(part).filling_size

    def test_shards_too_large_to_search(self, folder: Path, source: Path) -> None:
        """torch.distributed.checkpoint says by name what is in them."""
        (folder / ".metadata").write_bytes(b"..." + KEY.encode() + b"...")
        with pytest.raises(CannotCarry, match="truth"):
            jellyml.fill(folder, source=source)
        for replace in (True, False):
            jellyml.fill(folder, source=source, replace=replace)

    def test_a_checkpoint_below_is_its_own(self, folder: Path, source: Path) -> None:
        below = folder / "checkpoint-1"
        below.mkdir()
        (below / "model.bin").write_bytes(b"weights")
        jellyml.fill(below, source=source)
        jellyml.fill(folder, source=source)

    def test_a_repository_is_no_checkpoint(self, folder: Path, source: Path) -> None:
        (folder / ".git").mkdir()
        with pytest.raises(CannotCarry, match="git repository"):
            jellyml.fill(folder, source=source)


@pytest.mark.skipif(os.name == "nt", reason="nothing is swept there")
def test_what_the_killed_left_is_swept_and_nothing_else(
    plain: Path, source: Path, tmp_path: Path
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, held, linked, folder = (tmp_path / f"{atomic.BESIDE}{gone.pid:x}-{n}" for n in range(4))
    alive = tmp_path / f"{atomic.BESIDE}{os.getpid():x}-1"
    elsewhere = tmp_path / f".jellyml-00000000-{gone.pid:x}-1"
    others = [alive, elsewhere, tmp_path / ".jellyml-new", tmp_path / f"{atomic.BESIDE}zz-1", held]
    for path in (left, *others):
        path.write_bytes(b"half")
    linked.symlink_to(alive)
    folder.mkdir()
    with held.open("rb") as file:
        assert locks.hold(file.fileno(), wait=0)
        jellyml.fill(plain, source=source)
    assert not left.exists()
    assert all(path.exists() for path in (*others, linked, folder))


def test_what_is_being_written_is_held(tmp_path: Path) -> None:
    """So that nobody on another machine takes it for a leftover."""

    def chunks() -> Iterator[bytes]:
        (beside,) = tmp_path.glob(".jellyml-*")
        with beside.open("rb") as file:
            assert os.name == "nt" or not locks.hold(file.fileno(), wait=0)
        yield b"new"

    atomic.replace(tmp_path / "file", chunks())
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_journal_beside_a_strangers_link_is_none_of_the_file(tmp_path: Path) -> None:
    mine, folder = tmp_path / "mine", tmp_path / "downloaded"
    mine.write_bytes(b"as it is")
    folder.mkdir()
    (folder / "model").symlink_to(mine)
    nothing = hashlib.sha256(b"").hexdigest()
    inode = mine.stat().st_ino
    line = b'{"keep": 0, "size": 6, "witness": "%s", "inode": %d}\n' % (nothing.encode(), inode)
    (folder / ".model.jellyml-undo").write_bytes(line + b"theirs")
    apply_edit.mend(folder / "model")
    assert mine.read_bytes() == b"as it is"
    (tmp_path / ".mine.jellyml-undo").write_bytes(line + b"theirs")
    with pytest.warns(JellyWarning):
        apply_edit.mend(folder / "model")
    assert mine.read_bytes() == b"theirs"


class TestAmend:
    EDIT = Edit(4, (b"new", b"tail"))

    def torn(self, path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        """The edit, killed after ``at`` writes: nothing of ours runs any more."""
        path.write_bytes(b"keepOLD")
        written = [0]

        def write(file: object, data: bytes) -> None:
            if written[0] == at:
                raise KeyboardInterrupt
            written[0] += 1
            os.write(file.fileno(), data)  # type: ignore[attr-defined]

        with monkeypatch.context() as patch:
            patch.setattr(apply_edit, "_write", write)
            patch.setattr(apply_edit, "_restore", lambda path, file: False)
            with pytest.raises(KeyboardInterrupt):
                apply_edit.amend(path, self.EDIT, path.stat())

    @pytest.mark.parametrize("at", [0, 1])
    def test_what_a_kill_left_is_put_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
    ) -> None:
        path = tmp_path / "model"
        self.torn(path, monkeypatch, at)
        with pytest.warns(JellyWarning, match="is again what it was"):
            apply_edit.mend(path)
        assert path.read_bytes() == b"keepOLD"
        apply_edit.mend(path)  # and nothing is said
        assert os.listdir(tmp_path) == ["model"]  # noqa: PTH208

    def test_a_file_saved_anew_since_is_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "model"
        self.torn(path, monkeypatch, 1)
        path.write_bytes(b"a new model")
        apply_edit.mend(path)  # a warning would be an error
        assert path.read_bytes() == b"a new model"
        assert os.listdir(tmp_path) == ["model"]  # noqa: PTH208

    @pytest.mark.parametrize(
        "journal",
        [
            b"",
            b"{}\n",
            b'{"keep": 0, "size": 9, "witness": ""}\nshort',
            b'{"keep": 9, "size": 0, "witness": ""}\n',
            b'{"keep": "0", "size": 1, "witness": ""}\nx',
            b"[" * 2000,
        ],
    )
    def test_a_strangers_journal(self, tmp_path: Path, journal: bytes) -> None:
        path = tmp_path / "model"
        path.write_bytes(b"as it is")
        (tmp_path / ".model.jellyml-undo").write_bytes(journal)
        apply_edit.mend(path)  # a warning would be an error
        assert path.read_bytes() == b"as it is"

    def test_a_journal_that_is_a_link_is_not_followed(self, tmp_path: Path) -> None:
        path = tmp_path / "model"
        path.write_bytes(b"as it is")
        (tmp_path / ".model.jellyml-undo").symlink_to(tmp_path / "elsewhere")
        apply_edit.mend(path)  # a warning would be an error

    def test_two_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "model"
        path.write_bytes(b"keepOLD")
        monkeypatch.setattr(apply_edit, "_WAIT", 0.05)
        with path.open("rb") as file:
            assert locks.hold(file.fileno(), wait=0)
            with pytest.raises(UnsafeToContinue):
                apply_edit.amend(path, self.EDIT, path.stat())
        assert path.read_bytes() == b"keepOLD"

    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "model"
        path.write_bytes(b"keepOLD")
        calls = []

        def write(file: object, data: bytes) -> None:
            calls.append(data)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
            os.write(file.fileno(), data)  # type: ignore[attr-defined]

        monkeypatch.setattr(apply_edit, "_write", write)
        with pytest.raises(OSError, match="No space"):
            apply_edit.amend(path, self.EDIT, path.stat())
        assert path.read_bytes() == b"keepOLD"
        assert os.listdir(tmp_path) == ["model"]  # noqa: PTH208
