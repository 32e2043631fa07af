"""``jellyml log``: what comes from what, told as text, as JSON, and as a page of its own."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import jellyml
from at_the_keyboard import type_command, type_on_terminal
from captures import untouched
from checkpoint_files import bundle, our_filling, saved, tensor
from conftest import Folder
from jellyml.catalog import ancestry
from jellyml.catalog.ancestry import Commit, reduced
from jellyml.catalog.entry import Entry, look
from jellyml.catalog.find import Candidate
from jellyml.catalog.graph import lineage
from jellyml.catalog.lanes import rows
from jellyml.catalog.parents import Names, names
from jellyml.checkpoint.reader import unpacked
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.snapshot import serialization
from jellyml.snapshot.manifest import Manifest

# Rows and lanes


@pytest.mark.parametrize(
    ("parents", "drawn"),
    [
        ({"a": None}, ["a"]),
        ({"a": None, "b": "a", "c": "b"}, ["a", "b", "c"]),
        ({"a": None, "b": "a", "c": "a", "d": "c"}, ["a", " b", "c", "d"]),
        ({"a": None, "b": "a", "c": "b", "d": "b", "e": "a"}, ["a", " e", "b", " c", "d"]),
        ({"a": None, "b": None, "c": "gone"}, ["a", "b", "c"]),
        ({"a": "b", "b": "a"}, ["b", "a"]),
        ({"a": "a", "b": "a"}, ["a", "b"]),
        ({"x": "a", "a": "b", "b": "c", "c": "a"}, ["c", "b", "a", "x"]),
    ],
    ids=str,
)
def test_parents_stand_above_children(parents: dict[str, str | None], drawn: list[str]) -> None:
    made = rows(parents)
    assert [" " * row.lane + row.key for row in made] == drawn
    for row in made:
        assert row.parent is None or parents[row.key] == made[row.parent].key
        assert row.turns == (row.parent is not None and row.lane == made[row.parent].lane + 1)


def test_a_thousand_rows_need_few_lanes() -> None:
    deep = rows({str(n): str(n - 1) if n else None for n in range(20_000)})
    assert {row.lane for row in deep} == {0}
    bushy = rows({str(n): str((n - 1) // 2) if n else None for n in range(1023)})
    assert max(row.lane for row in bushy) == 9


# Commits


def linked(**parents: str) -> dict[str, Commit]:
    return {key: Commit(tuple(above.split())) for key, above in parents.items()}


@pytest.mark.parametrize(
    ("known", "marked", "expected"),
    [
        (linked(c="b", b="a", a=""), "c a", {"c": ("a", 1, ()), "a": (None, 0, ())}),
        (  # lines part at b, which nobody marked
            linked(d="b", c="b", b="a", a=""),
            "c d",
            {"c": ("b", 0, ()), "d": ("b", 0, ()), "b": (None, 0, ())},
        ),
        (  # m merges the marked s into the line of a
            linked(m="b s", s="a", b="a", a=""),
            "m s a",
            {"m": ("a", 1, ("s",)), "s": ("a", 0, ()), "a": (None, 0, ())},
        ),
        (  # what was merged leads to nothing else than the line itself
            linked(m="b s", s="a", b="a", a=""),
            "m a",
            {"m": ("a", 1, ()), "a": (None, 0, ())},
        ),
        (linked(b="a"), "b", {"b": (None, 0, ())}),  # history ends where nothing is known
    ],
    ids=["chain", "fork", "merge", "merge of nothing", "cut"],
)
def test_history_is_cut_down_to_what_is_marked(
    known: dict[str, Commit], marked: str, expected: dict[str, tuple[object, ...]]
) -> None:
    nodes = reduced(known, marked.split())
    assert {key: (one.parent, one.between, one.others) for key, one in nodes.items()} == expected


def test_records_that_go_in_circles_end() -> None:
    nodes = reduced(linked(a="b", b="a", c="c"), ["a", "b", "c"])
    assert len(rows({key: node.parent for key, node in nodes.items()})) == 3


# Recorded parents


@pytest.mark.parametrize(
    ("notes", "found"),
    [
        ({"parent": "a.pth"}, ["a.pth"]),
        ({"parent": ["a.pth", "b.pth", "a.pth", 3, "", " "]}, ["a.pth", "b.pth"]),
        ({"parent": 7}, []),
        ({"parent": {"path": "a"}}, []),
        ({}, []),
        ("x", []),
        (None, []),
    ],
    ids=str,
)
def test_what_is_recorded_as_parent(notes: object, found: list[str]) -> None:
    assert names(Manifest({"notes": notes})) == found


def listed(path: Path, parent: object = None, created: str = "2026-01-01") -> Entry:
    """A checkpoint of the small bundle that is all alike, with this record."""
    told = {"created": created, "notes": {"parent": parent}}
    path.parent.mkdir(parents=True, exist_ok=True)
    records = {
        KEY: tensor(our_filling()),
        MANIFEST_KEY: tensor(serialization.manifest_record(told)),
    }
    path.write_bytes(saved(records))
    found = look(Candidate(path, path.stat().st_size))
    assert isinstance(found, Entry)
    return found


DIGEST = serialization.parse_header(our_filling()).sha256 or ""


@pytest.mark.parametrize(
    ("name", "found", "alike"),
    [
        ("base.pth", "two/base.pth", 2),  # the nearest to the child
        ("one/base.pth", "one/base.pth", 1),  # the longest end that is alike
        ("/elsewhere/one/base.pth", "one/base.pth", 1),
        (r"..\..\one\base.pth", "one/base.pth", 1),
        ("./one/x/../base.pth", "one/base.pth", 1),
        ("pth", None, 0),
        ("model.pth", None, 0),  # itself
        ("later.pth", None, 0),  # captured after it
        ("meta/llama", None, 0),
        ("1" * 40, "two/base.pth", 3),  # a commit
        ("1" * 7, "two/base.pth", 3),
        (DIGEST, "two/base.pth", 3),
        (DIGEST[:12], "two/base.pth", 3),
        ("1" * 6, None, 0),
        ("2" * 40, None, 0),
        ("one/feedbeef", "one/feedbeef", 1),
        ("feedbeef", "one/feedbeef", 1),  # no such commit: a file of that name
    ],
)
def test_a_parent_is_found_by_path_commit_or_digest(
    tmp_path: Path, name: str, found: str | None, alike: int
) -> None:
    every = [
        listed(tmp_path / "one/base.pth"),
        listed(tmp_path / "two/base.pth"),
        listed(tmp_path / "one/feedbeef"),
        listed(tmp_path / "two/later.pth", created="2026-03-01"),
        listed(tmp_path / "two/model.pth", name, created="2026-02-01"),
    ]
    (parent,) = Names(every, [one.commit for one in every]).parents(4)
    path = None if parent.number is None else every[parent.number].path
    assert (path, parent.alike) == (tmp_path / found if found else None, alike)


# The command


class Runs(NamedTuple):
    repo: Folder
    first: str
    second: str
    third: str
    edit: str


@pytest.fixture
def runs(repo: Folder) -> Runs:
    """Two commits that hold a checkpoint each, and an edit on the first with two."""
    repo.write(".gitignore", "runs/\n")
    first = repo.commit("third <b>&amp;")
    save(repo, "one/base.pth", 1.0)
    repo.write("train.py", "print('</script><script>alert(1)</script>')\n")
    edit = save(repo, "two/epoch9.pth", 2.0, parent="one/base.pth")
    save(repo, "two/epoch10.pth", 3.0, parent="one/base.pth")
    repo.git("checkout", "-q", "train.py")
    second = repo.commit("fourth")
    repo.write("lib/net.py", "width = 9\n")
    third = repo.commit("fifth")
    save(repo, "three/model.pth", 4.0, parent=["two/epoch10.pth", "meta/llama"])
    return Runs(repo, first, second, third, edit)


def save(repo: Folder, name: str, value: float, **notes: object) -> str:
    path = repo.path / "runs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    snapshot = jellyml.create_snapshot(repo.path, notes=notes)
    weights = {"layers.0.weight": torch.full((4, 4), value), "layers.1.weight": torch.ones(4)}
    torch.save({"model": weights, **snapshot}, path)
    return snapshot.commit or ""


def test_the_tree_of_code(runs: Runs) -> None:
    said = type_command("log", "runs", cwd=runs.repo.path)
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    heads = [line[: line.index("  ")] for line in lines if "●" in line]
    assert heads == [f"● {runs.first[:8]}", f"├─● {runs.edit[:8]}", f"● {runs.third[:8]}"]
    assert "third <b>&amp;" in lines[0]
    assert lines[1] == "│  runs/one/base.pth"
    assert f"1 changed since {runs.first[:8]}" in lines[2]
    assert lines[3:5] == [
        "│    runs/two/epoch9.pth  <- runs/one/base.pth",
        "│    runs/two/epoch10.pth  <- runs/one/base.pth",
    ]
    assert "(1 commit between)" in lines[5]
    assert lines[6].endswith("  <- runs/two/epoch10.pth  <- meta/llama (none of these)")


def test_the_tree_of_recorded_parents(runs: Runs) -> None:
    lines = type_command("log", "--by", "parent", cwd=runs.repo.path).out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "○ meta/llama",
        "",
        "● runs/one/base.pth",
        "├─● runs/two/epoch9.pth",
        "● runs/two/epoch10.pth",
        "● runs/three/model.pth",
    ]
    assert lines[-1].endswith("also from meta/llama (none of these)")


@pytest.mark.parametrize("history", ["full", "none", 1])
def test_descent_is_read_from_the_checkpoints_where_there_is_no_repository(
    repo: Folder, tmp_path: Path, history: str | int
) -> None:
    for number in range(3):
        repo.write("train.py", f"print({number})\n")
        repo.commit(f"number {number}")
        snapshot = jellyml.create_snapshot(repo.path, history=history)  # type: ignore[arg-type]
        (tmp_path / "away").mkdir(exist_ok=True)
        torch.save({**snapshot}, tmp_path / f"away/{number}.pth")
    made = json.loads(type_command("log", "--json", cwd=tmp_path / "away").out)
    held = [each for each in made["commits"] if each["checkpoints"]]
    assert [each["checkpoints"] for each in held] == [["0.pth"], ["1.pth"], ["2.pth"]]
    assert [each["parent"] for each in held[1:]] == [each["commit"] for each in held[:-1]]
    assert [each["subject"] for each in held] == [f"number {number}" for number in range(3)]
    assert not any(each["claimed"] for each in held)


def test_no_more_bundles_are_unpacked_than_are_needed(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def counted(*words: Any) -> Any:
        opened.append(words)
        return unpacked(*words)

    monkeypatch.setattr(ancestry, "unpacked", counted)
    every = ["one/base.pth", "two/epoch9.pth", "two/epoch10.pth", "three/model.pth"]
    found = [look(Candidate(runs.repo.path / "runs" / name, 1)) for name in every]
    listed = [one for one in found if isinstance(one, Entry)]
    made = lineage(listed, None)
    assert len(opened) == 1  # the newest, whose history holds all others
    assert [point.commit for point in made.by_code()] == [runs.first, runs.edit, runs.third]
    monkeypatch.setattr(ancestry, "_MOST_BUNDLES", 0)
    assert lineage(listed, None).unread == 4


def test_a_checkpoint_of_1_0_says_its_commit_in_its_bundle_only(tmp_path: Path) -> None:
    from checkpoint_files import old_filling

    (tmp_path / "old.pth").write_bytes(saved({KEY: tensor(old_filling())}))
    made = json.loads(type_command("log", "--json", cwd=tmp_path).out)
    head = serialization.head_of(bundle())
    assert [each["commit"] for each in made["checkpoints"]] == [head]
    assert [each["subject"] for each in made["commits"]] == ["one"]


def test_a_damaged_bundle_is_told_and_the_rest_shown(runs: Runs, tmp_path: Path) -> None:
    data = bytearray((runs.repo.path / "runs/three/model.pth").read_bytes())
    data[data.rindex(b"PACK") + 40] ^= 1
    (tmp_path / "cut.pth").write_bytes(data)
    said = type_command("log", tmp_path / "cut.pth", cwd=tmp_path)
    assert said.status == 1
    assert runs.third[:8] in said.out
    assert "cut.pth" in said.err


def test_in_ascii_where_the_stream_has_no_more(runs: Runs) -> None:
    from at_the_keyboard import start_command

    said = start_command("log", cwd=runs.repo.path, PYTHONIOENCODING="ascii")
    assert [line for line in said.out.splitlines() if line.startswith(("* ", "|-* "))]


EVIL = "\x1b[31m\u202eevil</script ><img src=x onerror=alert(1)>\n'\""


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A checkpoint all of whose words are hostile."""
    told = {
        "created": EVIL,
        "code": {"branch": EVIL, "base": "2" * 40, "dirty": True, "changed": 3},
        "command": {"argv": [EVIL]},
        "machine": {"host": EVIL},
        "python": {EVIL: EVIL},
        "notes": {"parent": EVIL, EVIL: EVIL},
        EVIL: {EVIL: EVIL},
    }
    folder = tmp_path / "evil"
    folder.mkdir()
    records = {
        KEY: tensor(our_filling()),
        MANIFEST_KEY: tensor(serialization.manifest_record(told)),
    }
    for number in range(2):
        name = f"{number}e\x1bvil\u202e<i>&.pth"
        (folder / name).write_bytes(saved({**records, EVIL: torch.full((3,), number)}))
    return folder


def test_nothing_of_a_checkpoint_steers_the_terminal(evil: Path) -> None:
    for words in (["log"], ["log", "--json"], ["log", "--by", "parent"]):
        said = type_command(*words, cwd=evil)
        assert "vil" in said.out
        assert not set("\x1b\u202e") & set(said.out + said.err)
    shown = type_on_terminal("log", cwd=evil, more={"NO_COLOR": "1"})
    assert not set("\x1b\u202e") & set(shown.out)


# A header that lies


def lying(repo: Folder, name: str, **said: object) -> None:
    """A checkpoint of the code as it is, whose header says otherwise."""
    made = jellyml.create_snapshot(repo.path).filling
    told = json.loads(made[: serialization.HEADER_SIZE].rstrip(b"\0")) | said
    head = json.dumps(told).encode().ljust(serialization.HEADER_SIZE, b"\0")
    data = torch.frombuffer(bytearray(head + made[serialization.HEADER_SIZE :]), dtype=torch.uint8)
    torch.save({KEY: data}, repo.path / name)


def test_a_commit_that_a_header_only_claims_does_no_harm(repo: Folder) -> None:
    """It is shown as it is said, for nothing is unpacked; whoever wants the code hears of it."""
    first = repo.git("rev-parse", "HEAD~1").decode().strip()
    repo.write("train.py", "print('other code')\n")
    lying(repo, "liar.pth", commit=first)
    lying(repo, "tree.pth", commit=repo.git("rev-parse", "HEAD^{tree}").decode().strip())
    lying(repo, "nobody.pth", stands_for="f" * 40)
    with untouched(repo.path):
        said = type_command("log", ".", cwd=repo.path)
        assert f"● {first[:8]}  first" in said.out
        assert (said.status, said.err.count("snapshot in tree.pth names another")) == (1, 1)
        assert (
            type_command("log", "--html", repo.path.parent / "page.html", ".", cwd=repo.path).status
            == 1
        )
        for words in (("show", "liar.pth", "--files"), ("diff", "liar.pth"), ("load", "liar.pth")):
            refused = type_command(*words, cwd=repo.path)
            assert "liar.pth names another commit than its bundle holds" in refused.err, words
            assert "other code" not in refused.out


@pytest.mark.parametrize("commit", ["--output=x", "HEAD", "", "f" * 41, 7, ["f" * 40]])
def test_what_is_no_commit_id_never_comes_to_git(repo: Folder, commit: object) -> None:
    lying(repo, "liar.pth", commit=commit)
    said = type_command("log", ".", cwd=repo.path)
    assert said.status == 1
    assert "liar.pth holds a JellyML snapshot that cannot be used" in said.err
    assert not (repo.path / "x").exists()
