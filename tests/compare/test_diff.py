"""What differs between checkpoints, commits and the working tree: code, environment, weights."""

import json
import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch

import jellyml
from array_files import safetensors
from at_the_keyboard import environment, save_model, type_command, type_on_terminal
from captures import untouched
from conftest import Folder
from jellyml.cli.views.tensors import by_module, module_of
from jellyml.compare import magnitude as amounts
from jellyml.compare.tensors import Difference, Weights, compare
from jellyml.errors import BadSnapshot
from jellyml.tensors import arrays_of, to_numpy

W = torch.arange(1.0, 25.0).reshape(4, 6)
State = dict[str, torch.Tensor]


def weights(tmp_path: Path, one: object, other: object) -> Weights:
    torch.save(one, tmp_path / "one.pt")
    torch.save(other, tmp_path / "other.pt")
    return compare(arrays_of(tmp_path / "one.pt"), arrays_of(tmp_path / "other.pt"))


def only(found: Weights) -> Difference:
    (difference,) = found.differences
    return difference


# Weights.


def test_every_kind_of_difference(tmp_path: Path) -> None:
    one = {"same": W, "gone": W + 7, "old": W + 9, "c": W, "s": W, "t": W}
    other = {
        "same": W.clone(),
        "new": torch.ones(2),
        "young": W + 9,
        "c": W + 1,
        "s": W.reshape(6, 4),
        "t": W.half(),
    }
    found = weights(tmp_path, one, other)
    assert {each.name: each.kind for each in found.differences} == {
        "new": "added",
        "gone": "removed",
        "young": "renamed",
        "c": "changed",
        "s": "reshaped",
        "t": "retyped",
    }
    assert (found.same, found.before, found.after) == (1, 6, 6)
    renamed = next(each for each in found.differences if each.kind == "renamed")
    assert renamed.before
    assert (renamed.before.name, renamed.amount) == ("old", None)


def test_by_how_much(tmp_path: Path) -> None:
    other = W.clone()
    other[0, 0] += 0.5
    other[1, 1] -= 0.25
    by = only(weights(tmp_path, {"w": W}, {"w": other})).amount
    assert by
    assert by.share == 2 / 24
    assert by.largest == 0.5
    assert by.relative == pytest.approx((math.sqrt(0.5**2 + 0.25**2)) / float(W.norm()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: (torch.full((1000,), 1e-9), torch.full((1000,), -1e-9)),
        lambda: (W, W + torch.eye(4, 6) * 2e-6),
        lambda: (torch.zeros(3), -torch.zeros(3)),
        lambda: (torch.ones(3), torch.ones(3) + torch.tensor([0, 0, 1e-7])),
    ],
    ids=["negated", "an ulp or two", "minus zero", "one element"],
)
def test_what_a_tolerance_would_hide_is_told(tmp_path: Path, make: object) -> None:
    one, other = make()  # type: ignore[operator]
    difference = only(weights(tmp_path, {"w": one}, {"w": other}))
    assert difference.kind == "changed"
    assert difference.amount
    assert difference.amount.share > 0


@pytest.mark.parametrize(
    "dtype",
    [
        *("float16", "bfloat16", "float64", "complex64", "complex128", "int8", "uint8", "int64"),
        *("float8_e4m3fn", "float8_e5m2", "uint16", "bool"),
    ],
)
def test_types_with_numbers(tmp_path: Path, dtype: str) -> None:
    one = (W % 2).to(getattr(torch, dtype))
    other = one.clone().contiguous()
    other.view(torch.uint8)[0, 0:16] = ((W + 1) % 2).to(one.dtype).view(torch.uint8)[0, 0:16]
    by = only(weights(tmp_path, {"w": one}, {"w": other})).amount
    assert by
    assert (by.of, by.largest) == ("elements", 1.0)
    changed = 16 if one.element_size() == 1 else 16 // one.element_size()
    assert by.share == min(changed, 6) / 24 or by.share == changed / 24


def test_what_is_no_number_has_a_share_alone(tmp_path: Path) -> None:
    one, other = W.clone(), W.clone()
    one[0, 0] = other[0, 0] = math.nan
    one[0, 1] = other[0, 1] = math.inf
    other[1, 0] += 1
    by = only(weights(tmp_path, {"w": one}, {"w": other})).amount
    assert by
    assert (by.share, by.largest, by.relative) == (1 / 24, 1.0, None)
    other[2, 0] = math.nan
    by = only(weights(tmp_path, {"w": one}, {"w": other})).amount
    assert by
    assert (by.share, by.largest, by.relative) == (2 / 24, None, None)


def test_from_zero_there_is_no_relative_change(tmp_path: Path) -> None:
    by = only(weights(tmp_path, {"w": torch.zeros(4)}, {"w": torch.ones(4)})).amount
    assert by
    assert (by.relative, by.largest, by.share) == (None, 1.0, 1.0)


def test_views_of_other_layouts_are_compared_by_their_elements(tmp_path: Path) -> None:
    other = W.t().contiguous().t().clone(memory_format=torch.preserve_format)
    assert weights(tmp_path, {"w": W}, {"w": other}).differences == ()
    other[3, 5] += 24
    by = only(weights(tmp_path, {"w": W}, {"w": other})).amount
    assert by
    assert (by.share, by.largest) == (1 / 24, 24.0)


def test_across_formats(tmp_path: Path) -> None:
    torch.save({"w": W, "b": W.bfloat16()}, tmp_path / "a.pt")
    torch.save({"w": W, "b": W.bfloat16()}, tmp_path / "l.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "s").write_bytes(safetensors({"w": W, "b": W.bfloat16()}))
    files = [arrays_of(tmp_path / name) for name in ("a.pt", "l.pt", "s")]
    for one in files:
        for other in files:
            assert compare(one, other) == Weights((), 2, 2, 2)


def test_without_numpy_bytes_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_numpy, "is_here", lambda: False)
    other = W.clone()
    other[0, 0] = 1.5  # 00 00 80 3f becomes 00 00 c0 3f
    by = only(weights(tmp_path, {"w": W, "t": W}, {"w": other, "t": W})).amount
    assert by == amounts.Amount(1 / 96, "bytes")
    retyped = only(weights(tmp_path, {"w": W}, {"w": W.half()}))
    assert (retyped.kind, retyped.amount) == ("retyped", None)


def model(prefix: str = "") -> State:
    torch.manual_seed(0)
    names = ("q.weight", "k.weight", "q.bias")
    return {f"{prefix}layers.{n}.{name}": torch.randn(8, 8) for n in range(4) for name in names} | {
        f"{prefix}norm.weight": torch.ones(8)
    }


@pytest.mark.parametrize(("old", "new"), [("", "module."), ("model.", ""), ("a.b.", "c.")])
def test_a_part_that_is_called_otherwise(tmp_path: Path, old: str, new: str) -> None:
    """With one that changed in it, one of another type, and constants that are like others."""
    other = model(new)
    other[f"{new}layers.2.k.weight"] += 1
    other[f"{new}layers.3.k.weight"] = other[f"{new}layers.3.k.weight"].half()
    found = weights(tmp_path, model(old), other)
    kinds = {each.name: each.kind for each in found.differences}
    assert kinds.pop(f"{new}layers.3.k.weight") == "retyped"
    assert set(kinds.values()) == {"renamed"}
    assert len(kinds) == 12
    changed = [each.name for each in found.differences if each.kind == "renamed" and each.amount]
    assert changed == [f"{new}layers.2.k.weight"]
    for each in found.differences:
        assert each.before
        assert each.before.name == old + each.name.removeprefix(new)


def test_what_only_looks_alike_is_not_taken_for_renamed(tmp_path: Path) -> None:
    found = weights(tmp_path, {"a.weight": W}, {"b.weight": W + 1})
    assert {each.kind for each in found.differences} == {"added", "removed"}


def test_the_same_bytes_of_another_type_are_no_renaming(tmp_path: Path) -> None:
    found = weights(tmp_path, {"a": torch.zeros(4, 4)}, {"b": torch.zeros(4, 4).int()})
    assert {each.kind for each in found.differences} == {"added", "removed"}


def test_what_cannot_be_read_is_no_difference_and_no_equality(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(safetensors({"w": W, "v": W}))
    (tmp_path / "b").write_bytes(safetensors({"w": W, "v": W})[:-8])
    found = compare(arrays_of(tmp_path / "a"), arrays_of(tmp_path / "b"))
    assert (only(found).kind, only(found).name, found.same) == ("unreadable", "v", 1)
    assert "not in the file" in only(found).problem


_ALONE = """
import json, sys
from pathlib import Path
from jellyml.tensors import arrays_of, to_numpy as as_numpy
from jellyml.compare.tensors import compare
found = compare(*(arrays_of(Path(name)) for name in sys.argv[1:]))
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps([[each.kind for each in found.differences], found.same, peak]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
def test_memory_does_not_grow_with_what_is_compared(tmp_path: Path) -> None:
    for name in ("a", "b"):
        value = {f"{n}": torch.full((5 << 20,), float(n)) for n in range(6)}
        value["3"] += 0.5 * (name == "b")
        torch.save(value, tmp_path / name)
    words = [sys.executable, "-c", _ALONE, str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run(words, env=environment(), check=True, capture_output=True)
    kinds, same, peak = json.loads(done.stdout)
    assert (kinds, same) == (["changed"], 5)
    assert peak < 64


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("model.layers.12.attn.q.weight", "model.layers.12"),
        ("model.norm.weight", "model.norm"),
        ("weight", "weight"),
        ("0.weight", "0"),
        ("optimizer.state.3.exp_avg", "optimizer.state.3"),
        ("", ""),
    ],
)
def test_modules(name: str, module: str) -> None:
    assert module_of(name) == module


def test_the_state_of_an_optimizer_does_not_hide_the_model(tmp_path: Path) -> None:
    state = {"state": {0: {"exp_avg": W}, 1: {"exp_avg": W}}}
    changed = {"state": {0: {"exp_avg": 1000 * W}, 1: {"exp_avg": W - 5}}}
    one = {"model": {"a.w": W, "b.w": W}, "optimizer": state}
    other = {"model": {"a.w": W + 1, "b.w": W}, "optimizer": changed}
    found = weights(tmp_path, one, other)
    assert [module.name for module in by_module(found.differences)] == ["model.a"]
    alone = [each for each in found.differences if each.name.startswith("optim")]
    assert [module.name for module in by_module(alone)] == [
        "optimizer.state.0",
        "optimizer.state.1",
    ]
    shown = type_on_terminal(
        "diff", "one.pt", "other.pt", cwd=tmp_path, more={"NO_COLOR": "1", "GIT_PAGER": "cat"}
    )
    assert "2 changed in the state of the optimizer" in shown.out


def test_on_a_terminal_a_bar_for_each_module_comes_before_its_arrays(tmp_path: Path) -> None:
    one = {"a": {"w": W, "b": W}, "c": {"w": W, "b": W, "gone": W}, "d.1.w": W, "d.1.x": W}
    other = {
        "a": {"w": W * 1.5, "b": W},
        "c": {"w": W * 1.25, "b": W.bfloat16(), "new": W[:1]},
        "e.1.w": W,
        "e.1.x": W,
    }
    for name, content in (("one.pt", one), ("other.pt", other)):
        torch.save(content, tmp_path / name)
    plain = {"NO_COLOR": "1", "GIT_PAGER": "cat"}
    words = ("diff", "one.pt", "other.pt", "--only", "weights")
    shown = type_on_terminal(*words, cwd=tmp_path, more=plain).out
    lines = shown.split("\n")
    shape = "x".join(map(str, W.shape))
    bars = [line for line in lines if "█" in line]
    assert [line.split()[0] for line in bars] == ["a", "c"]
    assert bars[0].split() == ["a", "█" * 20, "0.5", "1", "changed"]
    assert bars[1].rstrip().endswith(" 0.25    1 changed, 1 retyped, 1 added, 1 removed")
    table = lines[lines.index("") + 1 :]
    changed = next(line for line in table if line.startswith("  changed    w"))
    assert changed.split()[:4] == ["changed", "w", "float32", shape]
    assert changed[: table[0].index("by") + 2].endswith("  0.5")
    retyped = next(line for line in table if "retyped" in line)
    assert f"float32 -> bfloat16 {shape}" in retyped
    assert "  renamed    2 arrays (were in d.1)" in [line.rstrip() for line in table]
    assert max(map(len, lines)) <= 100
    piped = type_command(*words, cwd=tmp_path).out
    assert "█" not in piped
    assert f"changed    a.w float32 {shape} by 0.5 at most" in piped


def test_a_module_changes_as_one_array_would(tmp_path: Path) -> None:
    """A bias of next to nothing that doubles is not the change of the module."""
    one = {"a.weight": W, "a.bias": torch.full((3,), 1e-6), "b.weight": W}
    found = weights(tmp_path, one, {"a.weight": W * 1.5, "a.bias": torch.ones(3), "b.weight": W})
    (module,) = by_module(found.differences)
    before = torch.cat([W.flatten(), one["a.bias"]])
    after = torch.cat([W.flatten() * 1.5, torch.ones(3)])
    assert module.change == pytest.approx(float((after - before).norm() / before.norm()))


# Code.


@pytest.fixture
def pair(repo: Folder) -> tuple[Path, Path]:
    """Two checkpoints, with an edit, a new file and other notes between them."""
    one = repo.path / "one.pth"
    torch.save({"w": W, **jellyml.create_snapshot(repo.path, notes={"lr": 0.1})}, one)
    repo.write("train.py", "print('three')\n")
    repo.write("evil\x1b[31m.py", "x = '\x1b[31m'\n")
    other = repo.path / "other.pth"
    notes = {"lr": 0.2, "\x1b[31m": "\x1b[31m"}
    found = {"w": W + 1, "e\x1b[31m\n": W, **jellyml.create_snapshot(repo.path, notes=notes)}
    torch.save(found, other)
    return one, other


def test_two_checkpoints(repo: Folder, pair: tuple[Path, Path]) -> None:
    with untouched(repo.path):
        found = jellyml.diff(*pair)
    assert found.code
    assert [(each.status, each.path) for each in found.code.files] == [
        ("added", "evil\x1b[31m.py"),
        ("changed", "train.py"),
    ]
    repo.git("add", "-N", "evil\x1b[31m.py")
    assert found.code.patch == repo.git("diff", "HEAD", "--", "*.py")
    assert found.environment
    assert [(each.name, each.before, each.after) for each in found.environment.facts] == [
        ("note lr", "0.1", "0.2"),
        ("note \x1b[31m", None, "\x1b[31m"),
    ]
    assert found.weights
    assert [each.kind for each in found.weights.differences] == ["changed", "added"]
    assert found.notes == ()


@pytest.mark.parametrize("where", ["here", "nowhere"])
def test_no_repository_is_needed_for_two_checkpoints(
    pair: tuple[Path, Path], where: str, tmp_path: Path
) -> None:
    folder = pair[0].parent if where == "here" else tmp_path
    assert jellyml.diff(*pair, folder=folder, only="code").code


@pytest.mark.parametrize(
    ("begins", "told"),
    [
        (b"\x89HDF\r\n\x1a\n", "(HDF5) is supported only by its own library"),
        (pickle.dumps({"w": [1.0]}), "(pickle) is supported only by its own library"),
        (b"a text", "is not known"),
    ],
    ids=["HDF5", "pickle", "text"],
)
def test_a_format_whose_arrays_are_not_read_is_told(
    tmp_path: Path, begins: bytes, told: str
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).write_bytes(begins)
    said = type_command("diff", "one", "other", "--only", "weights", cwd=tmp_path)
    assert said.status == 1
    assert f"The arrays of one cannot be read: its format {told}.\nFix: save" in said.err


def test_an_array_that_is_all_of_its_file_has_no_name(tmp_path: Path) -> None:
    for name in ("one.npy", "other.npy"):
        numpy.save(tmp_path / name, numpy.full(3, len(name)))
    said = type_command("diff", "one.npy", "other.npy", "--only", "weights", cwd=tmp_path)
    assert "changed    (no name) int64 3 by" in said.out


def test_with_the_working_tree(repo: Folder, pair: tuple[Path, Path]) -> None:
    repo.write("train.py", "print('four')\n")
    with untouched(repo.path):
        found = jellyml.diff(pair[1], folder=repo.path)
    assert found.code
    assert b"-print('three')\n+print('four')" in found.code.patch
    assert [each.path for each in found.code.files] == ["train.py"]
    assert (found.weights, found.notes) == (None, ())
    assert found.environment
    assert found.environment.packages == ()


def test_with_commits(repo: Folder, pair: tuple[Path, Path]) -> None:
    with untouched(repo.path):
        found = jellyml.diff("HEAD~1", pair[1], folder=repo.path)
        older = jellyml.diff("HEAD", "HEAD~1", folder=repo.path)
    assert found.code
    assert b"-print('one')\n+print('three')" in found.code.patch
    assert (found.environment, found.weights, found.notes) == (None, None, ())
    assert older.code
    assert older.code.patch == repo.git("diff", "HEAD", "HEAD~1")


def test_renames_are_seen(repo: Folder) -> None:
    repo.git("mv", "lib/net.py", "lib/model.py")
    found = jellyml.diff("HEAD", folder=repo.path)
    assert found.code
    assert [(each.status, each.path, each.before) for each in found.code.files] == [
        ("renamed", "lib/model.py", "lib/net.py")
    ]


def test_nested_repositories_are_compared_as_files(repo: Folder) -> None:
    inner = Folder(repo.path / "inner")
    inner.path.mkdir()
    inner.git("init", "-q")
    inner.write("a.py", "one\n")
    inner.commit()
    path = save_model(repo)
    inner.write("a.py", "two\n")
    found = jellyml.diff(path, folder=repo.path)
    assert found.code
    assert b"-one\n+two" in found.code.patch


def test_a_cut_history_is_no_hindrance(repo: Folder) -> None:
    path = repo.path / "model.pth"
    repo.write("train.py", "print('three')\n")
    torch.save(jellyml.create_snapshot(repo.path, history="none"), path)
    found = jellyml.diff("HEAD", path, folder=repo.path)
    assert found.code
    assert found.code.patch == repo.git("diff", "HEAD", "--", "train.py")


def test_no_program_of_anybodys_is_started(repo: Folder, home: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    script = repo.write("../driver", f"#!/bin/sh\necho \"$@\" >> '{trap}'\ncat\n", executable=True)
    keys = ("diff.external", "diff.evil.textconv", "diff.evil.command", "filter.evil.clean")
    repo.write(".gitattributes", "*.py diff=evil\n*.txt filter=evil\n")
    repo.write("a.txt", "one\n")
    repo.commit()
    (home / ".gitconfig").touch()
    for key in (*keys, "core.fsmonitor"):
        subprocess.run(["git", "config", "--global", key, str(script)], check=True)
        repo.git("config", key, str(script))
    for name in ("post-index-change", "post-checkout"):
        hook = repo.path / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.symlink_to(script)
    path = save_model(repo)
    repo.write("train.py", "print('three')\n")
    trap.unlink(missing_ok=True)
    for words in ([path], ["HEAD~1", "HEAD"], ["HEAD~1", path], ["HEAD"]):
        said = type_command("diff", *words, cwd=repo.path)
        assert said.status == 0, said.err
    assert not trap.exists(), trap.read_text()


def test_a_bundle_that_is_not_good_is_refused(repo: Folder, pair: tuple[Path, Path]) -> None:
    data = bytearray(pair[1].read_bytes())
    at = data.index(b"# v2 git bundle") + 200
    data[at] ^= 1
    pair[1].write_bytes(data)
    with pytest.raises(BadSnapshot):
        jellyml.diff(*pair, only="code")
    found = jellyml.diff(*pair)
    assert found.code is None
    assert found.weights
    assert any("cannot be used" in note for note in found.notes)


def test_without_code_the_weights_are_compared(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(safetensors({"w": W}))
    (tmp_path / "b").write_bytes(safetensors({"w": W + 1}))
    found = jellyml.diff(tmp_path / "a", tmp_path / "b", folder=tmp_path)
    assert (found.code, found.environment) == (None, None)
    assert found.weights
    assert len(found.notes) == 2


# On the command line.


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (["nope"], 2, "There is no file and no commit 'nope'."),
        (["--", "--upload-pack=x"], 2, "no commit '--upload-pack=x'"),
        (["HEAD", "--only", "weights"], 2, "HEAD has no weights."),
        (["HEAD", "--only", "env"], 2, "HEAD does not record an environment."),
        (["HEAD", "--only", "x"], 2, "invalid choice"),
        (["one.pth", "-c", "/"], 2, "is in no git repository"),
        (["main", "-c", "/"], 2, "There is no file main"),
        (["one.pth", "train.py", "--only", "weights"], 1, "cannot be read"),
        (["HEAD", "--plot", "x.png"], 2, "no weights on both sides"),
    ],
    ids=str,
)
def test_what_cannot_be_compared(
    repo: Folder, pair: tuple[Path, Path], words: list[str], status: int, problem: str
) -> None:
    said = type_command("diff", *words, cwd=repo.path)
    assert said.status == status, said
    assert problem in said.err
    assert "Fix: " in said.err or status == 1


def test_into_a_pipe_the_code_is_exactly_gits(repo: Folder, pair: tuple[Path, Path]) -> None:
    said = type_command("diff", "one.pth", "other.pth", "--only", "code", cwd=repo.path)
    found = jellyml.diff(*pair, only="code")
    assert found.code
    assert said.out.encode(errors="surrogateescape") == found.code.patch
    all_of_it = type_command("diff", "one.pth", "other.pth", cwd=repo.path)
    assert all_of_it.out.startswith(said.out)
    rest = all_of_it.out.removeprefix(said.out)
    assert "\x1b" not in rest
    assert "! note lr 0.1 -> 0.2" in rest
    assert "changed    w float32 4x6 by 0.07 at most 1 100 % of the elements" in rest
    assert "added      e\\x1b[31m\\n float32 4x6" in rest


def test_on_a_terminal_nothing_steers(repo: Folder, pair: tuple[Path, Path]) -> None:
    plain = {"GIT_PAGER": "cat", "NO_COLOR": "1"}
    shown = type_on_terminal("diff", "one.pth", "other.pth", cwd=repo.path, more=plain)
    assert shown.status == 0
    assert "\x1b" not in shown.out
    assert "+x = '\\x1b[31m'" in shown.out
    assert "█" in shown.out
    paged = type_on_terminal(
        "diff", "one.pth", "other.pth", cwd=repo.path, more={"GIT_PAGER": "sed 's/^/|/'"}
    )
    assert "|\x1b[32m+print('three')\x1b[0m" in paged.out


def test_as_json(repo: Folder, pair: tuple[Path, Path]) -> None:
    said = type_command("diff", "one.pth", "other.pth", "--json", cwd=repo.path)
    found = json.loads(said.out)
    assert set(found) == {"before", "after", "code", "environment", "weights", "notes"}
    assert found["weights"]["differences"][0]["amount"]["largest"] == 1.0
    assert "+print('three')" in found["code"]["patch"]
    assert "\x1b" not in said.out


def test_nothing_differs(repo: Folder, pair: tuple[Path, Path]) -> None:
    plain = {"GIT_PAGER": "cat", "NO_COLOR": "1"}
    shown = type_on_terminal("diff", "one.pth", "one.pth", cwd=repo.path, more=plain)
    assert shown.out.splitlines()[0] == "The code is the same."
    assert "The environment is the same." in shown.out
    assert "The weights are the same: 1 array, to the bit." in shown.out


def test_a_folder_with_the_name_of_a_branch_is_the_branch(repo: Folder) -> None:
    repo.write("main/a.txt", "x\n")
    assert jellyml.diff("main", folder=repo.path).code


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def test_a_picture_takes_no_models_place(repo: Folder, pair: tuple[Path, Path]) -> None:
    repo.write("model", "weights")
    said = type_command("diff", "one.pth", "other.pth", "--plot", "model", cwd=repo.path)
    assert (said.status, repo.read("model")) == (2, b"weights")
    assert "--plot model.png" in said.err


@pytest.mark.usefixtures("no_matplotlib")
def test_a_picture_needs_matplotlib(repo: Folder, pair: tuple[Path, Path]) -> None:
    said = type_command("diff", "one.pth", "other.pth", "--plot", "x.png", cwd=repo.path)
    assert said.status == 1
    assert "pip install 'jellyml[plot]'" in said.err
    assert not (repo.path / "x.png").exists()
