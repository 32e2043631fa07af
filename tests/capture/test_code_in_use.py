"""Code in use: real projects, run by real processes, and what is named of what they import."""

import hashlib
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import jellyml
from at_the_keyboard import save_model, type_command
from captures import taken, unpacked
from conftest import Folder
from jellyml.capture import loaded_modules, warn_in_use
from jellyml.capture.code_in_use import complete
from jellyml.working_tree import ignored as ignored_files
from planted_keys import PLANTED

SRC = Path(jellyml.__file__).parents[1]
CAPTURE = """
import json, sys, warnings, jellyml
with warnings.catch_warnings(record=True) as given:
    warnings.simplefilter("always")
    snapshot = jellyml.create_snapshot()
from jellyml.snapshot import serialization
manifest = serialization.parse_manifest(snapshot.manifest)
print(json.dumps([manifest["code"], [str(one.message) for one in given], snapshot.report]))
"""
# A build backend that makes an editable wheel with one path file (PEP 660).
BACKEND = """
import zipfile
from pathlib import Path

def build_editable(folder, *_):
    info = "sibling-1.dist-info"
    with zipfile.ZipFile(Path(folder, "sibling-1-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("sibling.pth", str(Path("src").absolute()))
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: sibling\\nVersion: 1\\n")
        tag = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{info}/WHEEL", tag)
        wheel.writestr(f"{info}/RECORD", "")
    return "sibling-1-py3-none-any.whl"
"""
HEAD = "Code in use that the repository does not hold as it ran:\n  "


class Run:
    """What one process captured, and what it said."""

    def __init__(self, printed: bytes) -> None:
        code, given, report = json.loads(printed)
        self.code: dict[str, Any] = code
        self.warnings: list[str] = given
        self.report: list[str] = report

    @property
    def found(self) -> dict[str, Any]:
        names = ("ignored", "outside", "changed_since_start", "in_use_error")
        return {name: self.code[name] for name in names if name in self.code}


def python(*words: str | Path, cwd: Path, path: str = "", **variables: str) -> Run:
    places = os.pathsep.join(filter(None, (str(SRC), path)))
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": ""} | variables,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return Run(done.stdout)


def repository(path: Path, files: dict[str, str]) -> Folder:
    path.mkdir(parents=True)
    made = Folder(path)
    made.git("init", "-q", "-b", "main")
    for name, text in files.items():
        made.write(name, text)
    made.commit()
    return made


def train(repo: Folder, *imports: str) -> None:
    repo.write("train.py", "".join(f"import {name}\n" for name in imports) + CAPTURE)
    repo.commit()


# An ordinary project


def test_an_ordinary_project_hears_nothing(repo: Folder) -> None:
    repo.write("lib/__init__.py")
    train(repo, "lib.net", "json.tool", "torch", "new.part")
    repo.write("new/part.py", "width = 9\n")  # untracked

    run = python("train.py", cwd=repo.path)

    assert run.found == {}
    assert run.warnings == []
    assert run.report == []


def test_no_git_is_started_for_what_is_in_the_snapshot(
    repo: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def rules(*words: object) -> dict[bytes, bytes]:
        asked.append(words)
        return {}

    monkeypatch.setattr(ignored_files, "_rules", rules)
    load(monkeypatch, "net", repo.path / "lib" / "net.py")
    load(monkeypatch, "new", repo.write("new.py"))

    snapshot = jellyml.create_snapshot(repo.path, strict=True)

    assert asked == []
    # Both were looked at: the test wrote them after its own process had started.
    assert [line.split(":")[0] for line in snapshot.report] == ["lib/net.py", "new.py"]


def load(monkeypatch: pytest.MonkeyPatch, name: str, path: Path) -> None:
    module = ModuleType(name)
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, name, module)


def test_two_thousand_modules_in_20_ms(
    monkeypatch: pytest.MonkeyPatch, repo: Folder, tmp_path: Path
) -> None:
    for number in range(2000 - len(sys.modules)):
        path = tmp_path / "env/lib/python3/site-packages" / f"package{number}" / "__init__.py"
        load(monkeypatch, f"package{number}", path)
    for number in range(50):
        load(monkeypatch, f"own{number}", repo.write(f"own/part{number}.py"))
    repo.commit()
    assert len(sys.modules) >= 2000
    seen: list[float] = []
    real = complete

    def timed(*arguments: Any) -> Any:
        begun = time.perf_counter()
        found = real(*arguments)
        seen.append(time.perf_counter() - begun)
        return found

    monkeypatch.setattr("jellyml.capture.capture.complete", timed)
    for _ in range(10):
        jellyml.create_snapshot(repo.path, strict=True)
    assert min(seen) < 0.020


def test_a_lazy_module_stays_unloaded(repo: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"{name} was read")

        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was read")

    lazy = Lazy("lazy")
    ModuleType.__setattr__(lazy, "__file__", str(repo.write("lazy.py")))
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    monkeypatch.setitem(sys.modules, "odd", object())
    monkeypatch.setitem(sys.modules, "none", None)

    found = [one.path for one in loaded_modules.user_modules()]

    assert str(repo.path / "lazy.py") in found


@pytest.mark.parametrize("errors", [False, True])
def test_a_failed_look_is_recorded_and_ends_nothing(
    repo: Folder, monkeypatch: pytest.MonkeyPatch, errors: bool
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no modules")

    monkeypatch.setattr("jellyml.capture.code_in_use.user_modules", fails)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if errors else "always")
        snapshot = jellyml.create_snapshot(repo.path, strict=True)

    assert snapshot.commit
    assert snapshot.report == (
        "The modules in use were not compared with the snapshot: RuntimeError: no modules",
    )


# Ignored


@pytest.mark.parametrize("rule", ["local_settings.py", "local_*", "*_settings.py", "/local_*.py"])
def test_a_file_that_a_rule_matches_is_named_with_its_digest(repo: Folder, rule: str) -> None:
    repo.write(".gitignore", f"{rule}\n")
    train(repo, "local_settings")
    path = repo.write("local_settings.py", "user = 'me'\n")

    run = python("train.py", cwd=repo.path)

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert run.found == {
        "ignored": [{"path": "local_settings.py", "sha256": digest, "captured": False}]
    }
    assert run.warnings == [f"{HEAD}local_settings.py: ignored by git; not captured"]
    assert run.report == ["local_settings.py: ignored by git; not captured"]


def test_a_line_is_named_once_a_process(repo: Folder) -> None:
    repo.write(".gitignore", "local.py\n")
    train(repo, "local")
    repo.write("local.py")
    repo.write("train.py", "import local\nimport jellyml\njellyml.create_snapshot()\n" + CAPTURE)
    repo.write("quiet.py", "import warnings\nwarnings.simplefilter('ignore')\nimport train\n")

    run = python("quiet.py", cwd=repo.path)

    assert run.warnings == []
    assert run.report == ["local.py: ignored by git; not captured"]


def test_one_warning_of_five_lines(repo: Folder) -> None:
    names = [f"local{number}" for number in range(9)]
    repo.write(".gitignore", "local*.py\n")
    train(repo, *names)
    for name in names:
        repo.write(f"{name}.py")

    run = python("train.py", cwd=repo.path)

    (text,) = run.warnings
    lines = text.splitlines()
    assert len(lines) == 5
    assert lines[-1] == "  and 6 more: snapshot.report, jellyml show"
    assert [line.split(":")[0] for line in run.report] == [f"{name}.py" for name in names]
    quiet = python("train.py", cwd=repo.path, LOCAL_RANK="1")
    assert quiet.warnings == []
    assert quiet.report == run.report
    assert python("-W", "error", "train.py", cwd=repo.path).report == run.report


def test_a_warning_that_is_an_error_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warn_in_use, "_named", set())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_in_use.warn_in_use(["a.py: ignored by git; not captured"], stacklevel=1)
    assert warn_in_use._named == {"a.py: ignored by git; not captured"}


FOLDERS = [
    ("lib/", "src/lib/a.py"), ("lib", "src/lib/a.py"), ("src/lib/*", "src/lib/sub/a.py"),
    ("/src/data/", "src/data/a.py"), ("data*", "src/datasets/a.py"), ("src/**", "src/lib/a.py"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "name"), FOLDERS)
@pytest.mark.parametrize("tracked_beside", [False, True])
def test_a_file_in_an_ignored_folder_is_captured_and_named(
    repo: Folder, rule: str, name: str, tracked_beside: bool
) -> None:
    module = name.removeprefix("src/").removesuffix(".py").replace("/", ".")
    if tracked_beside:
        repo.write(str(Path(name).with_name("beside.py")))
        repo.commit()
    repo.write(".gitignore", f"{rule}\n")
    train(repo, "sys; sys.path.insert(0, 'src')", module)
    path = repo.write(name, "width = 3\n")
    repo.write(str(Path(name).with_name("not_in_use.py")))

    run = python("train.py", cwd=repo.path)

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert run.found == {"ignored": [{"path": name, "sha256": digest, "captured": True}]}
    assert run.warnings == [f"{HEAD}{name}: in an ignored folder; captured, because it is in use"]
    assert run.code["dirty"]


def test_code_in_an_ignored_folder_runs_after_a_load(repo: Folder, tmp_path: Path) -> None:
    name, place = "lib2/a.py", tmp_path / "elsewhere"
    repo.write(".gitignore", "lib2/\n")
    train(repo, "lib2.a")
    repo.write(name, "width = 3\n")
    repo.write("lib2/not_in_use.py")
    save = "import torch\ntorch.save({**snapshot}, 'model.pth')\n"
    script = repo.path / "train.py"
    script.write_text(script.read_text() + save)
    python("train.py", cwd=repo.path)
    assert "lib2/a.py: in use, captured" in type_command("show", "model.pth", cwd=repo.path).out
    type_command("load", "model.pth", "--to", str(place), cwd=repo.path)
    assert (place / name).read_text() == "width = 3\n"
    assert not (place / "lib2/not_in_use.py").exists()
    python("train.py", cwd=place)
    repo.write(name, "width = 4\n")
    type_command("load", "model.pth", cwd=repo.path)
    assert repo.read(name) == b"width = 3\n"
    type_command("undo", cwd=repo.path)
    assert repo.read(name) == b"width = 4\n"
    assert (repo.path / "lib2/not_in_use.py").exists()


def test_secrets_and_limits_apply_in_an_ignored_folder(
    repo: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write(".gitignore", "lib2/\n")
    repo.commit()
    load(monkeypatch, "lib2.key", repo.write("lib2/key.py", f"key = '{PLANTED['an AWS key']}'\n"))
    load(monkeypatch, "lib2.big", repo.write("lib2/big.py", "x = 1\n" * 1000))

    snapshot = taken(repo.path, max_file_size=1000)

    assert [one.path for one in snapshot.left_out] == ["lib2/big.py"]
    assert "lib2/big.py: ignored by git; not captured" in snapshot.report
    assert any("secret" in line and "lib2/key.py" in line for line in snapshot.report)


def test_code_in_an_ignored_folder_is_part_of_the_key(
    repo: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repo.write(".gitignore", "lib2/\n")
    repo.commit()
    load(monkeypatch, "lib2.a", repo.write("lib2/a.py", "width = 3\n"))
    one = taken(repo.path)
    repo.write("lib2/a.py", "width = 4\n")
    two = taken(repo.path)

    for snapshot, text in ((one, b"width = 3\n"), (two, b"width = 4\n")):
        files = unpacked(snapshot.filling, tmp_path / str(snapshot.commit))
        assert files[b"lib2/a.py"] == ("file", text)


# Outside


def test_code_on_the_path_is_recorded_with_its_commit(repo: Folder, tmp_path: Path) -> None:
    shared = repository(tmp_path / "shared", {"src/tools/__init__.py": "", "src/tools/a.py": ""})
    shared.git("remote", "add", "origin", "https://me:hunter2@example.org/shared.git")
    shared.write("notes.txt", "untracked, and not in use")
    train(repo, "tools.a")

    run = python("train.py", cwd=repo.path, path=str(shared.path / "src"))

    head = shared.git("rev-parse", "HEAD").decode().strip()
    row = {
        "path": str(shared.path),
        "in_repository": True,
        "files": ["src/tools/__init__.py", "src/tools/a.py"],
        "remotes": {"origin": "https://example.org/shared.git"},
        "commit": head,
        "dirty": False,
    }
    assert run.found == {"outside": [row]}
    assert run.warnings == []
    assert run.report == [
        f"{shared.path}: outside the repository, at {head[:12]}, clean; not captured"
    ]


@pytest.mark.parametrize("change", ["edited", "untracked", "ignored"])
def test_code_outside_that_no_commit_has_is_warned_of(
    repo: Folder, tmp_path: Path, change: str
) -> None:
    shared = repository(tmp_path / "shared", {"tools.py": "", ".gitignore": "late.py\n"})
    shared.write({"edited": "tools.py", "untracked": "more.py", "ignored": "late.py"}[change], "1")
    train(repo, {"edited": "tools", "untracked": "more", "ignored": "late"}[change])

    run = python("train.py", cwd=repo.path, path=str(shared.path))

    assert run.found["outside"][0]["dirty"] is True
    (text,) = run.warnings
    assert "not all of it committed" in text


def test_code_in_no_repository_is_warned_of(repo: Folder, tmp_path: Path) -> None:
    Folder(tmp_path).write("loose/tools.py")
    train(repo, "tools")

    run = python("train.py", cwd=repo.path, path=str(tmp_path / "loose"))

    row = {"path": str(tmp_path / "loose"), "in_repository": False, "files": ["tools.py"]}
    assert run.found == {"outside": [row | {"remotes": {}}]}
    assert run.warnings == [
        f"{HEAD}{tmp_path}/loose: outside the repository, in no repository; not captured"
    ]


def test_a_link_that_leads_out(repo: Folder, tmp_path: Path) -> None:
    repository(tmp_path / "shared", {"utils/__init__.py": "", "one.py": ""})
    (repo.path / "utils").symlink_to("../shared/utils")
    (repo.path / "inner").symlink_to("lib")
    (repo.path / "single.py").symlink_to("../shared/one.py")
    repo.write("lib/__init__.py")
    train(repo, "utils", "inner.net", "single")

    run = python("train.py", cwd=repo.path)

    assert [row["files"] for row in run.found["outside"]] == [["one.py", "utils/__init__.py"]]
    assert run.warnings == []


def test_an_editable_package_beside(repo: Folder, tmp_path: Path) -> None:
    sibling = repository(
        tmp_path / "sibling",
        {
            "src/sibling/__init__.py": "",
            "backend.py": BACKEND,
            "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\n"
            "backend-path = ['.']\n[project]\nname = 'sibling'\nversion = '1'\n",
        },
    )
    environment = tmp_path / "env"
    create = [sys.executable, "-m", "venv", "--system-site-packages", "--without-pip"]
    subprocess.run([*create, environment], check=True)
    inside = environment / "bin" / "python"
    packages = [path for path in sys.path if path.endswith("site-packages")]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(SRC), *packages])}
    install = ["-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "--no-index"]
    done = subprocess.run(
        [inside, *install, "--disable-pip-version-check", "-e", sibling.path],
        env=variables, capture_output=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    train(repo, "sibling", "platformdirs")

    done = subprocess.run(
        [inside, "train.py"], cwd=repo.path, env=variables, capture_output=True, check=True
    )

    (row,) = Run(done.stdout).found["outside"]
    assert (row["path"], row["dirty"]) == (str(sibling.path), False)
    assert row["files"] == ["src/sibling/__init__.py"]


def test_packages_in_a_folder_of_their_own_are_installed(repo: Folder, tmp_path: Path) -> None:
    target = Folder(tmp_path / "packages")
    target.write("tools.py")
    target.write("tools-1.dist-info/METADATA")
    train(repo, "tools")

    assert python("train.py", cwd=repo.path, path=str(target.path)).found == {}


def test_show_names_it(repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.write(".gitignore", "local.py\n")
    load(monkeypatch, "local", repo.write("local.py"))
    load(monkeypatch, "loose", Folder(tmp_path).write("loose/tools.py"))
    edited = repo.write("train.py", "edited")
    os.utime(edited, (time.time() + 9, time.time() + 9))
    load(monkeypatch, "train", edited)

    save_model(repo)

    shown = type_command("show", "model.pth", cwd=repo.path).out
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    facts = {line[0]: line[1] for line in lines if len(line) == 2}
    assert facts["ignored"] == "local.py: in use, not in the snapshot"
    assert facts["outside"] == f"{tmp_path}/loose: in use, not in the snapshot"
    assert facts["changed"].startswith("train.py: after the run started")


# Changed since the start


def test_a_module_edited_after_its_import(repo: Folder) -> None:
    late = "import os, time\nos.utime('lib/net.py', (time.time() + 9, time.time() + 9))\n"
    train(repo, "lib.net")
    repo.write("train.py", "import lib.net\n" + late + CAPTURE)

    run = python("train.py", cwd=repo.path)

    assert run.found == {"changed_since_start": ["lib/net.py"]}
    assert run.warnings == [
        f"{HEAD}lib/net.py: changed since the process started; may differ from what ran"
    ]


def test_another_file_in_its_place_with_an_old_time(repo: Folder) -> None:
    repo.write("lib/other.py", "width = 16\n")
    os.utime(repo.path / "lib" / "other.py", (1e9, 1e9))
    replaced = "import os, time\ntime.sleep(1.5)\nos.replace('lib/other.py', 'lib/net.py')\n"
    repo.write("train.py", "import lib.net\n" + replaced + CAPTURE)

    run = python("train.py", cwd=repo.path)

    assert run.found == {"changed_since_start": ["lib/net.py"]}


def test_an_edit_after_the_capture_is_no_difference(repo: Folder) -> None:
    train(repo, "lib.net")
    before = python("train.py", cwd=repo.path)
    repo.write("lib/net.py", "width = 99\n")
    again = python("train.py", cwd=repo.path)
    assert (before.found, again.found) == ({}, {})


def test_what_is_in_the_snapshot_is_what_ran(repo: Folder, tmp_path: Path) -> None:
    train(repo, "lib.net")
    snapshot = jellyml.create_snapshot(repo.path, strict=True)
    assert unpacked(snapshot.filling, tmp_path / "unpacked")[b"lib/net.py"] == (
        "file", b"width = 8\n",
    )  # fmt: skip
