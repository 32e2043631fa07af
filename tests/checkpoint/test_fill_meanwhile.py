"""What others do to a file while ``fill`` and ``strip`` look at it, and what they put beside it."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import jellyml
from checkpoint_files import checkpoint, model, saved
from jellyml.checkpoint import apply_edit, fill
from jellyml.errors import CannotCarry, NoSnapshot, UnsafeToContinue, pasteable
from jellyml.fs import locks
from nobody import as_nobody

NEWER = saved({"weight": bytes(100_000)})

pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.pth"
    path.write_bytes(checkpoint())
    return path


def saved_over(path: Path) -> None:
    path.write_bytes(NEWER)


def saved_beside(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(NEWER)
    beside.replace(path)


@pytest.mark.parametrize("saving", [saved_over, saved_beside])
@pytest.mark.parametrize("data", [saved(model()), checkpoint()], ids=["in place", "a copy"])
def test_a_model_saved_meanwhile_is_whole(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
    saving: Callable[[Path], None],
) -> None:
    """fill has read the file and knows what to put where; then a trainer saves it anew."""
    path = tmp_path / "model.pth"
    path.write_bytes(data)
    apply = fill._apply

    def late(*args: object) -> None:
        saving(path)
        apply(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(fill, "_apply", late)
    with pytest.raises(UnsafeToContinue, match="by another program meanwhile"):
        jellyml.fill(path, source=source, replace=True)
    assert path.read_bytes() == NEWER
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.pth", "source.pth"]


@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="no leases here")  # noqa: PTH110
def test_a_file_that_is_being_written_is_left(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_edit, "_WAIT", 0.05)
    path = tmp_path / "model.pth"
    path.write_bytes(saved(model()))
    with path.open("r+b") as writer:
        if not locks.is_written(path):
            pytest.skip("this file system grants leases on files that are written")
        for change in (lambda: jellyml.fill(path, source=source), lambda: jellyml.strip(path)):
            with pytest.raises(UnsafeToContinue, match="open to write"):
                change()
        writer.write(b"PK")
    assert path.read_bytes() == saved(model())
    jellyml.fill(path, source=source)


def test_a_journal_from_a_stranger_changes_nothing(tmp_path: Path) -> None:
    """It may come with code that was loaded, and tell of a file that its maker never saw."""
    path = tmp_path / "best.pth"
    path.write_bytes(saved(model()))
    journal = tmp_path / ".best.pth.jellyml-undo"
    for keep, witness in ((0, b""), (4, b"PK\3\4")):
        said = {"keep": keep, "size": keep, "witness": hashlib.sha256(witness).hexdigest()}
        for more in ({}, {"inode": path.stat().st_ino + 1}):
            journal.write_text(json.dumps(said | more) + "\n")
            apply_edit.mend(path)  # a warning would be an error
            assert path.read_bytes() == saved(model())


def test_a_journal_of_another_file_stops_nobody_who_may_only_read(tmp_path: Path) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    model_file, journal = place / "m.pth", place / ".m.pth.jellyml-undo"
    model_file.write_bytes(b"keepTORN")
    said = {"keep": 4, "size": 4, "witness": hashlib.sha256(b"keep").hexdigest()}
    journal.write_text("no journal")

    def act() -> str:
        os.chmod(model_file, 0o444)  # noqa: PTH101
        os.chmod(place, 0o555)  # noqa: PTH101
        apply_edit.mend(model_file)
        return "read on"

    assert as_nobody((place,), act) == "read on"
    place.chmod(0o755)
    journal.write_text(json.dumps(said | {"inode": model_file.stat().st_ino}) + "\n")
    assert "cannot be mended" in as_nobody((place,), act)
    place.chmod(0o755)
    assert model_file.read_bytes() == b"keepTORN"


@pytest.mark.parametrize("number", [1.5, 2**70, -1, True, None, float("nan")])
def test_a_journal_of_odd_numbers(tmp_path: Path, number: object) -> None:
    path = tmp_path / "best.pth"
    path.write_bytes(b"as it is")
    said = {"keep": number, "size": number, "witness": "", "inode": path.stat().st_ino}
    (tmp_path / ".best.pth.jellyml-undo").write_text(json.dumps(said) + "\n")
    apply_edit.mend(path)
    assert path.read_bytes() == b"as it is"


@pytest.mark.parametrize(("name", "missing"), [("model.gguf", 40), ("model.safetensors", 4)])
def test_a_file_that_is_still_coming_is_left(
    tmp_path: Path, source: Path, name: str, missing: int
) -> None:
    """A download that is taken up again goes on at the file's end."""
    path = tmp_path / name
    whole = (Path(__file__).parents[1] / "samples" / name).read_bytes()
    path.write_bytes(whole[:-missing])
    with pytest.raises(CannotCarry, match="cut off"):
        jellyml.fill(path, source=source)
    with path.open("ab") as file:
        file.write(whole[-missing:])
    jellyml.fill(path, source=source)
    jellyml.strip(path)
    assert path.read_bytes() == whole


@pipes
def test_a_pipe_is_not_waited_for(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for change in (lambda: jellyml.fill(path, source=source), lambda: jellyml.strip(path)):
        with pytest.raises(NoSnapshot, match="is not a file"):
            change()
    journal = tmp_path / ".source.pth.jellyml-undo"
    os.mkfifo(journal)
    jellyml.open(source).close()
    assert journal.exists()  # and it is not ours to remove


def test_what_is_kept_of_the_file(tmp_path: Path, source: Path) -> None:
    """By a copy as well: the mode, and the names and values that a file system keeps beside."""
    path = tmp_path / "model.pth"
    path.write_bytes(checkpoint())
    path.chmod(0o640)
    try:
        os.setxattr(path, "user.origin", b"run 7")
    except (AttributeError, OSError):
        pytest.skip("this file system keeps no attributes")
    jellyml.fill(path, source=source, replace=True)
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.getxattr(path, "user.origin") == b"run 7"


def test_a_name_that_begins_as_an_option_does() -> None:
    assert pasteable("-rf.pth") == "./-rf.pth"
    assert pasteable(Path("a b.pth")) == "'a b.pth'"
