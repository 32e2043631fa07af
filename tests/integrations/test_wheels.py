"""What is published: both packages built, then used as they were installed."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from at_the_keyboard import ROOT, environment

pytest.importorskip("hatchling", reason="hatchling is not installed")


def test_both_packages(tmp_path: Path) -> None:
    def python(*words: str | Path, cwd: Path = tmp_path, path: str = "") -> str:
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=cwd, env=environment(PYTHONPATH=path), capture_output=True, check=False
        )
        assert not done.returncode, done.stderr.decode()
        return done.stdout.decode()

    for project in (ROOT, ROOT / "packages" / "jellyml-lightning"):
        python("-m", "hatchling", "build", "-d", tmp_path / "dist", cwd=project)
    for sources in (tmp_path / "dist").glob("*.tar.gz"):
        with tarfile.open(sources) as archive:
            inside = {name.split("/")[1] for name in archive.getnames()}
        files = {"README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO", "pyproject.toml"}
        assert inside <= {"src", ".gitignore", *files}
    wheels = sorted((tmp_path / "dist").glob("*.whl"))
    assert [wheel.name.split("-")[0] for wheel in wheels] == ["jellyml", "jellyml_lightning"]
    installed = tmp_path / "installed"
    python("-m", "pip", "install", "-q", "--no-deps", "--no-index", "-t", installed, *wheels)
    code = (
        "import jellyml, jellyml.integrations.lightning as ours\n"
        "from jellyml_lightning import JellyMLLightningPlugin\n"
        "assert JellyMLLightningPlugin is ours.JellyMLLightningPlugin\n"
        "print(jellyml.__file__)"
    )
    said = python("-c", code, path=str(installed))
    assert Path(said.strip()).is_relative_to(installed)
    said = python("-m", "jellyml", "--help", path=str(installed))
    assert "jellyml load" in said
    assert (installed / "bin" / "jellyml").exists()
