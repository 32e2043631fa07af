"""What ``jellyml diff --plot`` draws, with matplotlib itself."""

from pathlib import Path

import numpy as np
import pytest

from jellyml.cli import main

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    one = {f"layers.{n}.weight": np.full((8, 8), n + 1.0) for n in range(300)}
    evil = r"$\frac{a}{$ <script>.w" + "\x1b"
    other = {name: each + 0.01 for name, each in one.items()} | {evil: np.zeros((3, 1))}
    for name, value in (("one", one | {evil: np.ones((3, 1))}), ("other", other)):
        np.savez(f"{name}.npz", **value)
    return tmp_path


@pytest.mark.parametrize("kind", STARTS)
def test_a_picture(folder: Path, kind: str) -> None:
    words = ["diff", "one.npz", "other.npz", "--only", "weights", "--plot", f"x.{kind}"]
    assert main(words) == 0
    drawn = (folder / f"x.{kind}").read_bytes()
    assert drawn.startswith(STARTS[kind])
    assert b"\x1b<script" not in drawn


def test_a_kind_that_there_is_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["diff", "one.npz", "other.npz", "--only", "weights", "--plot", "x.foo"]
    assert main(words) == 2
    assert "one of: " in capsys.readouterr().err
    assert not (folder / "x.foo").exists()
