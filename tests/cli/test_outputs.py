"""Every file that a command writes where it is told, or under a default name.

None is written through a link, none over what is not JellyML's own, and no bundle that leaves a
checkpoint has another ref than HEAD.
"""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy
import pytest
import torch

import jellyml
from at_the_keyboard import save_model, start_command, type_command
from conftest import Folder
from far_server import serving
from hostile import CASES, Pack, small
from jellyml.capture import capture, create
from jellyml.checkpoint import MANIFEST_SIDECAR, SIDECAR, Checkpoint
from jellyml.checkpoint.export import write_bundle
from jellyml.errors import BadSnapshot, JellyWarning, UsageError
from jellyml.extract_bundle import ExtractBundleArgs_dataclass, extract_bundle
from jellyml.formats.record import KEY
from jellyml.fs import atomic, rename
from jellyml.fs import output as fs_output
from jellyml.snapshot import serialization

VICTIM = b"export PATH=/usr/bin\n"


@dataclass(frozen=True)
class Command:
    """One way to write a file: the words before its name, and what there is to begin with."""

    name: str
    words: tuple[str, ...]
    file: str

    def typed(self, repo: Folder, *more: str, file: str = "") -> tuple[int, str]:
        said = type_command(*self.words, file or self.file, *more, cwd=repo.path)
        return said.status, said.err


COMMANDS = (
    Command("extract-bundle", ("fix", "extract-bundle", "model.pth", "-o"), "out.bundle"),
    Command("log", ("log", ".", "--html"), "page.html"),
    Command("diff", ("diff", "one.npz", "two.npz", "--only", "weights", "--plot"), "x.png"),
    Command("diff as svg", ("diff", "one.npz", "two.npz", "--only", "weights", "--plot"), "x.svg"),
)
EACH = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@pytest.fixture(autouse=True)
def _matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed: what writes the two kinds of file that are known again."""
    if importlib.util.find_spec("matplotlib"):
        return

    def savefig(file: object, *, format: str, metadata: dict[str, str], **_: object) -> None:
        text = {
            "png": b"\x89PNG\r\n\x1a\n" + bytes(25) + b"\0\0\0\x10tEXtSoftware\0%s",
            "svg": b"<?xml version='1.0'?>\n<svg><metadata><dc:title>%s</dc:title>",
        }[format]
        (name,) = metadata.values()
        file.write(text % name.encode())  # type: ignore[attr-defined]

    module = ModuleType("matplotlib")
    module.figure = MagicMock()  # type: ignore[attr-defined]
    module.figure.Figure.return_value.savefig = savefig
    monkeypatch.setitem(sys.modules, "matplotlib", module)


@pytest.fixture
def repo(repo: Folder) -> Folder:
    save_model(repo)
    for name, value in (("one", 1.0), ("two", 2.0)):
        numpy.savez(repo.path / f"{name}.npz", w=numpy.full(3, value))
    return repo


@pytest.fixture
def victim(home: Path) -> Path:
    path = home / ".profile"
    path.write_bytes(VICTIM)
    return path


def is_left(place: Path) -> bool:
    """Whether nothing half written is beside it."""
    return not list(place.glob(".jellyml-*"))


# --- links ---


@EACH
def test_nothing_is_written_through_a_link(repo: Folder, victim: Path, command: Command) -> None:
    (repo.path / command.file).symlink_to(victim)
    status, said = command.typed(repo)
    assert (status, victim.read_bytes()) == (2, VICTIM)
    assert "symbolic link" in said
    assert "--force" in said
    assert is_left(repo.path)
    assert is_left(victim.parent)


@EACH
def test_nor_through_one_that_leads_to_nothing_yet(
    repo: Folder, home: Path, command: Command
) -> None:
    (repo.path / command.file).symlink_to(home / ".bash_login")
    status, said = command.typed(repo)
    assert (status, (home / ".bash_login").exists()) == (2, False)
    assert "symbolic link" in said


@EACH
@pytest.mark.parametrize("to", ["a file", "nothing", "a folder"])
def test_with_force_the_link_itself_is_replaced(
    repo: Folder, victim: Path, command: Command, to: str
) -> None:
    elsewhere = victim.parent / "elsewhere"
    elsewhere.mkdir()
    place = repo.path / command.file
    place.symlink_to({"a file": victim, "nothing": elsewhere / "new", "a folder": elsewhere}[to])
    status, _ = command.typed(repo, "--force")
    if command.name == "extract-bundle" and to == "a folder":  # which of the two is meant?
        assert (status, place.is_symlink()) == (2, True)
    else:
        assert (status, place.is_symlink(), place.is_file()) == (0, False, True)
    assert (victim.read_bytes(), list(elsewhere.iterdir())) == (VICTIM, [])


@pytest.mark.parametrize("command", COMMANDS[1:], ids=lambda command: command.name)
def test_what_cannot_be_written_is_said_before_any_work(
    repo: Folder, victim: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jellyml.cli.commands.log.read_checkpoints", None)
    monkeypatch.setattr("jellyml.cli.commands.diff.open_endpoints", None)
    (repo.path / command.file).symlink_to(victim)
    status, said = command.typed(repo)
    assert status == 2, said
    assert "symbolic link" in said


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_default_name_that_is_a_link_is_not_followed(
    repo: Folder, victim: Path, force: list[str]
) -> None:
    """The attack: the loaded code brings the link, extract-bundle writes through it."""
    (repo.path / "model.pth.bundle").symlink_to(victim)
    (repo.path / "lib" / "model.pth.bundle").symlink_to(victim)
    for place in ((), ("-o", "lib")):
        said = type_command("fix", "extract-bundle", "model.pth", *place, *force, cwd=repo.path)
        assert said.status == (0 if force else 2)
        assert force or "-o PATH" in said.err
    assert victim.read_bytes() == VICTIM


def test_a_link_to_a_folder_is_not_the_folder(repo: Folder, home: Path) -> None:
    """``-o code.bundle`` would write below wherever the loaded code says."""
    (repo.path / "code.bundle").symlink_to(home)
    said = type_command("fix", "extract-bundle", "model.pth", "-o", "code.bundle", cwd=repo.path)
    assert (said.status, list(home.glob("*.bundle"))) == (2, [])
    assert str(home) in said.err


@pytest.mark.parametrize("to", ["file", "nothing"])
def test_create_snapshot_follows_no_link(repo: Folder, victim: Path, to: str) -> None:
    link = repo.write("lib/keep").with_name("out.bundle")
    link.symlink_to(victim if to == "file" else victim.with_name("new"))
    with pytest.raises(UsageError, match="symbolic link"):
        jellyml.create_snapshot(repo.path, link)
    assert victim.read_bytes() == VICTIM
    assert not victim.with_name("new").exists()


def test_nor_do_the_functions_of_1_0(
    repo: Folder, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.path)
    Path("model.pth.bundle").symlink_to(victim)
    for output in (None, "model.pth.bundle"):
        with pytest.raises(UsageError, match=r"symbolic link.*output_path"):
            extract_bundle(ExtractBundleArgs_dataclass("model.pth", output))
        with pytest.raises(UsageError, match="symbolic link"):
            write_bundle(Path("model.pth"), Path(output) if output else None)
    assert victim.read_bytes() == VICTIM


# --- what is there already ---


def user_file(command: Command) -> bytes:
    """A file of the user's, of the very kind that the command writes."""
    if command.file.endswith(".bundle"):  # git bundle create x main
        return CASES["other branches and tags"].build()
    return {
        "html": b"<!doctype html>\n<p>my thesis\n",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(25) + b"\0\0\0\x10tEXtSoftware\0Krita",
        "svg": b"<?xml version='1.0'?>\n<svg>my drawing</svg>",
    }[command.file.rpartition(".")[2]]


@EACH
@pytest.mark.parametrize("content", ["of the same kind", "of another kind", "empty"])
def test_a_file_of_the_users_stays_without_force(
    repo: Folder, command: Command, content: str
) -> None:
    mine = {"of the same kind": user_file(command), "of another kind": VICTIM, "empty": b""}
    place = repo.write(command.file, mine[content])
    status, said = command.typed(repo)
    assert (status, place.read_bytes()) == (2, mine[content])
    assert "Fix: " in said
    assert command.words[-1] in said
    assert command.typed(repo, "--force")[0] == 0
    assert place.read_bytes() != mine[content]
    assert is_left(repo.path)


@EACH
def test_what_jellyml_wrote_is_written_anew(repo: Folder, command: Command) -> None:
    place = repo.path / command.file
    assert command.typed(repo)[0] == 0
    first = place.read_bytes()
    place.write_bytes(first + b" ")
    place.chmod(0o600)
    assert command.typed(repo)[0] == 0
    assert not place.read_bytes().endswith(b" ")
    assert place.stat().st_mode & 0o777 == 0o600  # a private file stays private
    assert is_left(repo.path)


@EACH
def test_nor_is_one_kind_written_over_another(repo: Folder, command: Command) -> None:
    for other in COMMANDS:
        if other.words != command.words:
            assert other.typed(repo)[0] == 0
            before = repo.read(other.file)
            assert command.typed(repo, file=other.file)[0] == 2
            assert repo.read(other.file) == before


def test_a_mark_deep_in_a_page_does_not_make_it_jellymls(repo: Folder) -> None:
    mark = b'<meta name="generator" content="JellyML">'
    place = repo.write("page.html", b"<!DOCTYPE html>\n" + b"<p>mine\n" * 500 + mark)
    assert type_command("log", ".", "--html", "page.html", cwd=repo.path).status == 2
    assert b"mine" in place.read_bytes()
    place.write_bytes(b"mine" + mark)
    assert type_command("log", ".", "--html", "page.html", cwd=repo.path).status == 2


@EACH
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_what_is_not_a_file_is_never_replaced(
    repo: Folder, command: Command, force: list[str]
) -> None:
    place = repo.path / command.file
    os.mkfifo(place)
    status, said = command.typed(repo, *force)  # and it does not wait for a writer
    assert (status, place.is_fifo()) == (2, True)
    assert "not a regular file" in said
    place.unlink()
    if command.name != "extract-bundle":  # of that it is where the file goes
        place.mkdir()
        status, said = command.typed(repo, *force)
        assert (status, list(place.iterdir())) == (2, [])
        assert "is a folder" in said
    assert command.typed(repo, *force, file="missing/x.png")[0] == 2
    assert command.typed(repo, *force, file="/dev/null")[0] == 2


@EACH
@pytest.mark.parametrize("moment", ["replacement", "put_new"])
def test_a_file_that_appears_meanwhile_stays(
    repo: Folder, command: Command, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """While the file is written, and in between the last look and the rename."""
    place, went_on = (
        repo.path / command.file,
        getattr(atomic if moment == "replacement" else rename, moment),
    )

    def slow(*given: Any, **more: Any) -> Any:
        place.write_bytes(VICTIM)
        return went_on(*given, **more)

    monkeypatch.setattr(atomic if moment == "replacement" else rename, moment, slow)
    status, said = command.typed(repo)
    assert (status, place.read_bytes()) == (2, VICTIM), said
    assert is_left(repo.path)


def test_what_is_looked_at_is_no_link_and_no_pipe(repo: Folder, victim: Path) -> None:
    """It may have become one since the look at its kind; nothing waits for a writer."""
    (repo.path / "link").symlink_to(victim)
    os.mkfifo(repo.path / "pipe")
    assert fs_output._start(victim) == VICTIM
    assert fs_output._start(repo.path / "link") == fs_output._start(repo.path / "pipe") == b""
    assert fs_output._start(repo.path) == fs_output._start(repo.path / "nothing") == b""
    writer = os.open(repo.path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    os.write(writer, b"# v2 git bundle\n")
    assert fs_output._start(repo.path / "pipe") == b""
    os.close(writer)


@EACH
@pytest.mark.parametrize("system", ["renameat2", "links", "neither"])
def test_on_any_file_system(
    repo: Folder, command: Command, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "no links here")

    if system != "renameat2":
        monkeypatch.setattr(rename, "rename_at", lambda *_: False)
    if system == "neither":
        monkeypatch.setattr(os, "link", refused)
    assert command.typed(repo)[0] == 0
    assert (repo.path / command.file).stat().st_size > 0
    assert is_left(repo.path)
    (repo.path / command.file).unlink()
    test_a_file_that_appears_meanwhile_stays(repo, command, monkeypatch, "put_new")


def test_a_default_name_replaces_nothing(repo: Folder) -> None:
    words = ("fix", "extract-bundle", "model.pth")
    for place, written in (((), "model.pth.bundle"), (("-o", "lib"), "lib/model.pth.bundle")):
        assert type_command(*words, *place, cwd=repo.path).status == 0
        repo.write(written, own := repo.read(written) + b" ")
        said = type_command(*words, *place, cwd=repo.path)
        assert (said.status, repo.read(written)) == (2, own)
        assert "jellyml fix extract-bundle model.pth -o PATH" in said.err
        assert type_command(*words, *place, "--force", cwd=repo.path).status == 0
        assert repo.read(written) == own[:-1]


def test_force_does_not_replace_the_checkpoint(repo: Folder) -> None:
    before = repo.read("model.pth")
    (repo.path / "again.pth").hardlink_to(repo.path / "model.pth")
    for name in ("model.pth", "again.pth"):
        said = type_command(
            "fix", "extract-bundle", "model.pth", "-o", name, "--force", cwd=repo.path
        )
        assert (said.status, repo.read(name)) == (2, before)


def test_a_bundle_of_another_commit_stays(repo: Folder) -> None:
    """``git bundle create backup.bundle HEAD`` gives what could be JellyML's own."""
    words = ("fix", "extract-bundle", "model.pth", "-o", "backup.bundle")
    repo.write("train.py", "print('later')\n")
    repo.commit("later")
    repo.git("bundle", "create", "-q", "backup.bundle", "HEAD")
    mine = repo.read("backup.bundle")
    said = type_command(*words, cwd=repo.path)
    assert (said.status, repo.read("backup.bundle")) == (2, mine)
    assert "is not a bundle of the same commit" in said.err
    assert type_command(*words, "--force", cwd=repo.path).status == 0
    assert type_command(*words, cwd=repo.path).status == 0  # the same commit


def test_create_snapshot_replaces_its_own_bundle_alone(repo: Folder) -> None:
    place = repo.path.parent / "out.bundle"
    first = jellyml.create_snapshot(repo.path, place)
    repo.write("train.py", "print('three')\n")
    second = jellyml.create_snapshot(repo.path, place)
    assert place.read_bytes() == second.filling[serialization.HEADER_SIZE :]
    assert second.commit != first.commit
    for mine in (b"", VICTIM, CASES["other branches and tags"].build()):
        place.write_bytes(mine)
        with pytest.raises(UsageError, match="out_git_bundle_path"):
            jellyml.create_snapshot(repo.path, place)
        assert place.read_bytes() == mine


@pytest.mark.parametrize("strict", [False, True])
def test_what_comes_into_the_way_of_a_capture_stays(
    repo: Folder, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    place = repo.path.parent / "out.bundle"

    def slow(*given: Any) -> capture.Capture:
        place.write_bytes(VICTIM)
        return capture.capture(*given)

    monkeypatch.setattr(create, "capture", slow)
    if strict:
        with pytest.raises(UsageError):
            jellyml.create_snapshot(repo.path, place, strict=True)
    else:
        with pytest.warns(JellyWarning, match="was not written"):
            assert jellyml.create_snapshot(repo.path, place).commit
    assert place.read_bytes() == VICTIM


# --- where the name comes from ---


def test_the_default_name_is_the_one_that_was_typed(repo: Folder) -> None:
    repo.write("a.pth", repo.read("model.pth")).rename(repo.path / "lib" / "odd name")
    (repo.path / "best.pth").symlink_to("lib/odd name")
    assert type_command("fix", "extract-bundle", "best.pth", cwd=repo.path).status == 0
    assert (repo.path / "best.pth.bundle").is_file()


@pytest.mark.parametrize("name", ["x/..%2Fowned", "%2e%2e%2fowned", "%2Ftmp%2Fowned", "a%00owned"])
def test_an_address_names_no_file_elsewhere(repo: Folder, name: str, home: Path) -> None:
    from urllib.parse import unquote

    here = repo.path / "lib"
    with serving({unquote(name).lstrip("/"): repo.read("model.pth")}) as server:
        said = type_command("fix", "extract-bundle", server.url(name), cwd=here)
        assert said.status == 0, said
        (written,) = here.glob("*.bundle")
        assert written.name.endswith("owned.bundle")
        said = type_command("git", server.url(name), "ls-remote", "{}", cwd=here)
        assert said.status == 0, said
    assert not list(repo.path.glob("*.bundle"))
    assert not list(Path("/tmp").glob("owned*"))


# --- refs ---

_REFS = ("refs/heads/$(touch OWNED)", "; touch OWNED #", "HEAD HEAD", "refs/tags/v1")


def with_refs(algorithm: str = "sha1") -> tuple[str, bytes, bytes]:
    """HEAD, a bundle whose other refs are lines for a shell, and what of it may come out."""
    pack, head = small(algorithm)
    lines = "".join(f"{head} {ref}\n" for ref in _REFS)
    return head, pack.bundle(head, lines.encode()), pack.bundle(head)


@pytest.fixture(params=["sha1", "sha256"])
def hostile(request: pytest.FixtureRequest, repo: Folder) -> tuple[Folder, str, bytes]:
    """Where ``evil.pth`` is, its commit, and the bundle that may come out of it."""
    head, bundle, wanted = with_refs(request.param)
    object_format = request.param if request.param != "sha1" else None
    header = serialization.header(bundle, commit=head, object_format=object_format)
    record = torch.frombuffer(bytearray(header + bundle), dtype=torch.uint8)
    torch.save({"w": torch.ones(2), KEY: record}, repo.path / "evil.pth")
    return repo, head, wanted


def refs_of(path: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "bundle", "list-heads", str(path)], capture_output=True, check=True
    )
    return [line.split(" ", 1)[1] for line in listed.stdout.decode().splitlines()]


def test_a_bundle_that_is_written_out_has_one_ref(hostile: tuple[Folder, str, bytes]) -> None:
    repo, head, wanted = hostile
    said = type_command("fix", "extract-bundle", "evil.pth", "-o", "x.bundle", cwd=repo.path)
    assert said.status == 0
    assert repo.read("x.bundle") == wanted
    assert refs_of(repo.path / "x.bundle") == ["HEAD"]
    subprocess.run(["sh", "./x.bundle"], cwd=repo.path, capture_output=True, check=False)
    assert not (repo.path / "OWNED").exists()
    repo.git("clone", "-q", "x.bundle", "../cloned")
    cloned = Folder(repo.path.parent / "cloned")
    assert cloned.git("rev-parse", "HEAD").decode().strip() == head


def test_the_attack_as_a_whole(repo: Folder, home: Path) -> None:
    """Loaded code brings a link, the header brings the lines, the next shell runs them."""
    head, bundle, _ = with_refs()
    profile = home / ".profile"
    repo.write("evil.pth", serialization.header(bundle, commit=head) + bundle)
    (repo.path / "evil.pth.bundle").symlink_to(profile)
    type_command("fix", "extract-bundle", "evil.pth", cwd=repo.path)
    subprocess.run(["sh", "-c", ". ~/.profile"], cwd=home, capture_output=True, check=False)
    assert not (home / "OWNED").exists()
    assert not profile.exists()


def test_git_sees_one_ref(hostile: tuple[Folder, str, bytes]) -> None:
    repo, head, _ = hostile
    said = start_command("git", "evil.pth", "ls-remote", "{}", cwd=repo.path)
    assert (said.status, said.out) == (0, f"{head}\tHEAD\n")


def test_fill_from_passes_one_ref_on(hostile: tuple[Folder, str, bytes]) -> None:
    """Into a folder, and into a file; header, digest and manifest are of what was put in."""
    repo, head, wanted = hostile
    repo.write("run/weights.bin", b"weights")
    torch.save({"w": torch.ones(3)}, repo.path / "plain.pth")
    for target, source in (("run", "evil.pth"), ("plain.pth", "evil.pth")):
        said = type_command("fill", target, "--from", source, cwd=repo.path)
        assert said.status == 0, said
        found = Checkpoint.open(repo.path / target)
        assert b"".join(found.bundle()) == b"".join(found.saved_bundle()) == wanted
        assert found.header.size == len(wanted)
        assert b"OWNED" not in b"".join(
            path.read_bytes() for path in (repo.path / target).rglob("*") if path.is_file()
        )
    assert repo.read(f"run/{SIDECAR}") == wanted
    assert Checkpoint.open(repo.path / "plain.pth").header.commit == head
    assert b"OWNED" not in repo.read("plain.pth")


def test_a_folders_bundle_with_more_refs_is_passed_on_with_one(repo: Folder) -> None:
    """Its manifest says the digest of what went with it, and no longer the old one."""
    _, bundle, wanted = with_refs()
    repo.write(f"run/{SIDECAR}", bundle)
    said_of = {"bundle_sha256": hashlib.sha256(bundle).hexdigest(), "notes": {"lr": 1}}
    repo.write(f"run/{MANIFEST_SIDECAR}", json.dumps(said_of))
    torch.save({"w": torch.ones(3)}, repo.path / "plain.pth")
    assert type_command("fill", "plain.pth", "--from", "run", cwd=repo.path).status == 0
    found = Checkpoint.open(repo.path / "plain.pth")
    assert found.manifest
    digest = hashlib.sha256(wanted).hexdigest()
    assert (found.header.sha256, found.manifest["bundle_sha256"]) == (digest, digest)
    assert found.manifest["notes"] == {"lr": 1}
    said = type_command("fix", "extract-bundle", "run", "-o", f"run/{SIDECAR}", cwd=repo.path)
    assert (said.status, repo.read(f"run/{SIDECAR}")) == (2, bundle)


def test_a_load_still_takes_what_has_more_refs(hostile: tuple[Folder, str, bytes]) -> None:
    repo, head, _ = hostile
    if len(head) == 40:
        assert type_command("load", "evil.pth", "--to", "../new", cwd=repo.path).status == 0
        assert (repo.path.parent / "new" / "file").read_bytes() == b"x\n"
    assert type_command("show", "evil.pth", "--files", cwd=repo.path).status == 0


def honest(repo: Folder, version: str) -> bytes:
    return repo.git("bundle", "create", "-q", f"--version={version}", "-", "HEAD")


@pytest.mark.parametrize("version", ["2", "3"])
def test_an_honest_bundle_comes_out_to_the_byte(repo: Folder, version: str) -> None:
    data = honest(repo, version)
    commit = repo.git("rev-parse", "HEAD").decode().strip()
    repo.write("old.pth", serialization.header(data, commit=commit) + data)
    checkpoint = Checkpoint.open(repo.path / "old.pth")
    assert b"".join(checkpoint.bundle()) == data
    assert checkpoint.records() == (repo.read("old.pth"), b"")


Build = Callable[[], bytes]


@pytest.mark.parametrize(
    "build", [CASES[name].build for name in ("a prerequisite", "no HEAD", "HEAD twice")]
)
def test_what_has_no_head_of_its_own_does_not_come_out(repo: Folder, build: Build) -> None:
    data = build()
    repo.write("evil.pth", serialization.header(data, commit="1" * 40) + data)
    with pytest.raises(BadSnapshot):
        b"".join(Checkpoint.open(repo.path / "evil.pth").bundle())
    said = type_command("fix", "extract-bundle", "evil.pth", "-o", "x.bundle", cwd=repo.path)
    assert (said.status, (repo.path / "x.bundle").exists()) == (1, False)


def test_a_header_of_many_pieces(repo: Folder) -> None:
    """Longer than what is read at once, and the pack behind it whole."""
    pack = Pack()
    head = pack.commit(pack.tree(("100644", b"file", pack.blob(os.urandom(3_000_000)))))
    lines = b"".join(b"%s refs/heads/%d\n" % (head.encode(), each) for each in range(40_000))
    data = pack.bundle(head, lines)
    repo.write("evil.pth", serialization.header(data, commit=head) + data)
    assert b"".join(Checkpoint.open(repo.path / "evil.pth").bundle()) == pack.bundle(head)
