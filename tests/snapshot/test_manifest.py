import hashlib
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
import zipapp
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Folder
from jellyml import working_tree
from jellyml.snapshot import environment
from jellyml.snapshot.facts import CodeFacts, Credential, Data, LeftOut, Nested
from jellyml.snapshot.in_use import CodeInUse, IgnoredFile, Outside
from jellyml.snapshot.manifest import Manifest, record

SOURCE = Path(working_tree.__file__).parents[2]
PAGE = Path(__file__).parents[2] / "docs" / "manifest.md"

PROGRAM = """
import json, sys
from pathlib import Path
from jellyml.snapshot.facts import CodeFacts; from jellyml.snapshot.manifest import record
{before}
print(json.dumps(record(CodeFacts(root=Path({root!r})), version="2.0.0"), allow_nan=False))
"""


def program(root: Path, before: str = "") -> str:
    return PROGRAM.format(root=str(root), before=before)


def recorded(
    *command: str | bytes | Path, cwd: Path, stdin: str = "", python: str = sys.executable,
    **variables: str,
) -> dict[str, Any]:  # fmt: skip
    """What a process that runs this wrote of itself."""
    done = subprocess.run(
        [python, *command], cwd=cwd, input=stdin.encode(), capture_output=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)} | variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    made: dict[str, Any] = json.loads(done.stdout.decode("ascii"))
    return made


def broken(found: dict[str, Any]) -> list[object]:
    return [part for part in found.values() if isinstance(part, dict) and "error" in part]


def made(root: Path, **facts: Any) -> dict[str, Any]:
    return record(CodeFacts(root=root, **facts), version="2.0.0")


def test_a_run_is_recorded(repo: Folder) -> None:
    repo.write("uv.lock", "version = 1\n")
    repo.write("lib/train.py", program(repo.path))

    found = recorded(
        "-X", "dev", "train.py", "--lr", "0.1", cwd=repo.path / "lib", WORLD_SIZE="8", RANK="3"
    )

    assert found["schema"] == 1
    assert found["jellyml"] == "2.0.0"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]{12}\+00:00", found["created"])
    assert found["command"] == {
        "argv": ["train.py", "--lr", "0.1"],
        "launched": [sys.executable, "-X", "dev", "train.py", "--lr", "0.1"],
        "script": "lib/train.py",
        "module": None,
        "cwd": "lib",
    }
    assert found["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert found["machine"]["host"] == platform.node()
    assert found["variables"] == {"RANK": "3", "WORLD_SIZE": "8"}
    digest = hashlib.sha256(b"version = 1\n").hexdigest()
    assert found["lock_files"] == {"uv.lock": digest}
    assert found["distributions"]["torch"]["version"] == torch.__version__
    assert "torch" not in found
    assert broken(found) == []


def test_a_module_is_recorded_by_its_name(repo: Folder) -> None:
    repo.write("pkg/train.py", program(repo.path))

    command = recorded("-m", "pkg.train", "--x", cwd=repo.path)["command"]

    assert command["module"] == "pkg.train"
    assert command["script"] == "pkg/train.py"
    assert command["launched"][1:] == ["-m", "pkg.train", "--x"]


def test_no_planted_secret_is_in_the_record(repo: Folder, home: Path) -> None:
    def secret(number: int) -> str:
        return f"hunter{number}x"

    site = repo.path / "site"
    origin = {"url": f"https://me:{secret(0)}@h/p.whl?sig={secret(1)}", "archive_info": {}}
    repo.write("site/thing-1.0.dist-info/direct_url.json", json.dumps(origin))
    index = f"[global]\nindex-url = https://me:{secret(2)}@h/simple?token={secret(3)}\n"
    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text(index)
    repo.write("uv.toml", f'[[index]]\nurl = "https://{secret(4)}@h/uv"\n')
    repo.write(
        "train.py",
        f"""
import json, sys
from pathlib import Path
from jellyml.snapshot.facts import CodeFacts, Nested; from jellyml.snapshot.manifest import record
sys.path.append({str(site)!r})
code = CodeFacts(
    root=Path({str(repo.path)!r}),
    remotes={{"origin": "https://me:{secret(5)}@github.com/a/b.git"}},
    nested=(Nested("lib", None, None, {{"up": "https://{secret(6)}@h/x#{secret(7)}"}}),),
    error="fatal: unable to access 'https://me:{secret(8)}@h/a.git/'",
)
notes = {{"wandb": {{"api_key": "{secret(9)}"}}, "command": "login --password {secret(10)}"}}
print(json.dumps(record(code, version="2.0.0", notes=notes)))
""",
    )

    found = recorded(
        "train.py", "--api-key", secret(11), f"wandb.api_key={secret(12)}", cwd=repo.path,
        WANDB_API_KEY=secret(13), PIP_INDEX_URL=f"https://{secret(14)}@h/pip/#{secret(15)}",
        UV_INDEX=f"mine=https://me:{secret(16)}@h/env", WANDB_PROJECT=f"password={secret(17)}",
    )  # fmt: skip

    text = json.dumps(found)
    repo.path.joinpath("train.py").unlink()
    assert [number for number in range(18) if secret(number) in text] == []
    assert found["distributions"]["thing"] == {"version": "1.0", "url": "https://h/p.whl"}
    assert set(found["indexes"]) >= {
        "https://h/simple", "https://h/uv", "https://h/pip/", "https://h/env"
    }  # fmt: skip
    assert found["code"]["remotes"] == {"origin": "https://github.com/a/b.git"}
    assert found["code"]["nested"][0]["remotes"] == {"up": "https://h/x"}
    assert found["code"]["error"] == "fatal: unable to access 'https://***@h/a.git/'"


def test_names_that_look_like_a_token_are_masked_too(folder: Folder) -> None:
    token = "ghp_" + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
    code = CodeFacts(
        root=folder.path,
        commit="1" * 40,
        branch=f"try/{token}",
        remotes={token: "https://h/x"},
        left_out=(LeftOut(f"data/{token}.bin", "too large", 1),),
        nested=(Nested(token, "2" * 40, token, {}),),
        raw=(token,),
        secrets=(Credential(token, 1, "a GitHub token"),),
        commit_texts={"3" * 40: b"tree ..."},
    )
    folder.write(f"requirements-{token}.txt", "")
    found = record(code, version="2", notes={token: token})
    assert token not in json.dumps(found)
    facts = found["code"]
    assert isinstance(facts, dict)
    assert facts["branch"] == "try/***"
    assert facts["commit"] == "1" * 40
    assert facts["commit_texts"] == {"3" * 40: "tree ..."}


def test_only_variables_on_the_list_are_recorded(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_JOB_ID_X", "18")
    monkeypatch.setenv("USER", "somebody-unlikely")

    found = made(folder.path)

    assert found["variables"]["SLURM_JOB_ID"] == "17"
    assert "SLURM_JOB_ID_X" not in found["variables"]
    assert "somebody-unlikely" not in json.dumps(found)


WATCHED = """
def watch(event, args):
    if event in ("subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn", "os.system"):
        raise SystemExit(f"{event} {args}")
sys.addaudithook(watch)
import atexit
atexit.register(lambda: [sys.exit(name) for name in
    ("torch", "numpy", "IPython", "socket", "platform", "subprocess", "importlib.metadata")
    if name in sys.modules])
"""


def test_it_starts_no_program_and_imports_nothing_heavy(folder: Folder) -> None:
    found = recorded("-c", program(folder.path, WATCHED), cwd=folder.path)

    assert broken(found) == []


@pytest.mark.parametrize(
    "before",
    [
        "",
        "del sys.argv",
        "del sys.orig_argv",
        "sys.argv = None",
        "sys.argv = [1, Path('x'), b'\\xff', '\\udcff']",
        "sys.path[:0] = [b'bytes', None, 3, '', '/nowhere', sys.executable]",
        "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
        "del sys.modules['__main__'].__spec__",
        "sys.modules['__main__'].__file__ = None",
        "sys.modules['__main__'].__file__ = b'x'",
        "del sys.modules['__main__']",
        "import os; del os.environ['HOME']",
        "import os; os.environ['HOME'] = '\\udcff'",
        "import os; os.environb[b'WANDB_PROJECT'] = b'\\xff'",
        "sys.executable = sys.prefix = ''",
    ],
)
def test_an_odd_process_is_recorded_too(folder: Folder, before: str) -> None:
    found = recorded("-c", program(folder.path, before), cwd=folder.path)

    assert broken(found) == []


def test_a_program_from_standard_input_and_from_a_zip_file(folder: Folder) -> None:
    from_input = recorded("-", cwd=folder.path, stdin=program(folder.path))
    folder.write("app/__main__.py", program(folder.path))
    zipapp.create_archive(folder.path / "app")
    zipped = recorded("app.pyz", cwd=folder.path)

    assert from_input["command"]["argv"] == ["-"]
    assert from_input["command"]["script"] is None
    assert zipped["command"]["script"] == "app.pyz/__main__.py"


def test_arguments_and_names_that_are_no_text_can_be_encoded(folder: Folder) -> None:
    name = b"caf\xe9.py"
    (folder.path / os.fsdecode(name)).write_text(program(folder.path))

    command = recorded(name, b"--x=\xff", cwd=folder.path)["command"]

    assert command["argv"] == ["caf\\udce9.py", "--x=\\udcff"]
    assert command["script"] == "caf\\udce9.py"


def test_a_section_that_cannot_be_made_leaves_the_others(folder: Folder) -> None:
    found = made(folder.path / "gone")

    assert found["lock_files"]["error"].startswith("FileNotFoundError: ")
    assert found["python"]["implementation"] == sys.implementation.name


def test_a_command_line_of_any_length_is_bounded(folder: Folder) -> None:
    before = "sys.argv = ['x' * 1_000_000] + ['y'] * 100_000"

    argv = recorded("-c", program(folder.path, before), cwd=folder.path)["command"]["argv"]

    assert len(argv[0]) == 4096
    assert argv[-2:] == ["y", "... and 99001 more"]


# Distributions.


def test_distributions_are_those_that_importlib_finds(folder: Folder) -> None:
    found = made(folder.path)["distributions"]

    truth: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        truth.setdefault(re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(), one.version)
    assert {name: facts["version"] for name, facts in found.items()} == truth


def install(site: Path, name: str, version: str = "1.0", **origin: object) -> None:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    if origin:
        (folder / "direct_url.json").write_text(json.dumps(origin))


def test_where_a_distribution_is_from(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    site, other = folder.path / "site", folder.path / "other"
    here, there = (folder.path / "libs/my pkg").as_uri(), folder.path.parent.as_uri() + "/x"
    install(site, "Some.Pkg_x", "2.0+cu1")
    install(site, "inside", url=here, dir_info={"editable": True})
    install(site, "outside", url=there, dir_info={"editable": True})
    install(site, "wheel", url=f"{there}.whl", archive_info={})
    install(site, "git", url="https://t@h/x.git", vcs_info={"vcs": "git", "commit_id": "abc"})
    install(site, "broken")
    (site / "broken-1.0.dist-info/direct_url.json").write_text('{"url": 3, "dir_info": 4}')
    install(other, "some-pkg-x", "1.0")
    (site / "stray.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(site), str(other), str(site)])

    assert made(folder.path)["distributions"] == {
        "broken": {"version": "1.0"},
        "git": {"version": "1.0", "url": "https://h/x.git", "commit": "abc"},
        "inside": {"version": "1.0", "path": "libs/my pkg", "editable": True},
        "outside": {"version": "1.0", "url": there, "elsewhere": True, "editable": True},
        "some-pkg-x": {"version": "2.0+cu1"},
        "wheel": {"version": "1.0", "url": f"{there}.whl", "elsewhere": True},
    }


def test_what_is_installed_meanwhile_is_seen(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(folder.path)])
    assert made(folder.path)["distributions"] == {}

    time.sleep(0.02)  # a folder's time may stand still for a tick of the clock
    install(folder.path, "late")

    assert made(folder.path)["distributions"] == {"late": {"version": "1.0"}}


def test_300_distributions_are_all_recorded(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        install(folder.path / "site", f"package_{number}")
    monkeypatch.setattr(sys, "path", [str(folder.path / "site")])
    environment._installed_in.cache_clear()

    assert len(made(folder.path)["distributions"]) == 300


# Torch.


def test_torch_is_described_where_it_is_imported_and_cuda_stays_asleep(folder: Folder) -> None:
    torch.manual_seed(17)

    found = made(folder.path)["torch"]

    assert found["version"] == torch.__version__
    assert found["cuda"] == torch.version.cuda
    assert found["seed"] == 17
    assert found["deterministic"] is False
    assert "devices" not in found
    assert not torch.cuda.is_initialized()


def test_half_imported_torch_is_no_harm(folder: Folder) -> None:
    before = "import types; sys.modules['torch'] = types.ModuleType('torch')"

    found = recorded("-c", program(folder.path, before), cwd=folder.path)

    assert found["torch"]["error"].startswith("AttributeError: ")


# Indexes.


@pytest.mark.parametrize(
    ("place", "text", "found"),
    [
        ("home/.config/pip/pip.conf", "[global]\nindex-url = https://a:b@h/x\n", ["https://h/x"]),
        ("home/.pip/pip.conf", "[install]\nextra-index-url =\n    https://h/x\n    https://h/y\n",
         ["https://h/x", "https://h/y"]),
        ("home/.config/uv/uv.toml", 'extra-index-url = ["https://h/x?t=1", "https://h/y"]',
         ["https://h/x", "https://h/y"]),
        ("work/uv.toml", '[[index]]\nname = "m"\nurl = "https://h/x"\n', ["https://h/x"]),
        ("work/pyproject.toml", '[project.urls]\nHomepage = "https://h/no"\n'
         '[[tool.uv.index]]\nurl = "https://u@h/x"\n', ["https://h/x"]),
        ("home/.config/pip/pip.conf", "[global]\n# index-url = https://h/x\n", []),
        ("home/.config/pip/pip.conf", "[global]\nindex-url = https://u:p,w@h/x\n", ["https://"]),
    ],
)  # fmt: skip
def test_indexes_in_files(
    folder: Folder, home: Path, place: str, text: str, found: list[str]
) -> None:
    base, _, name = place.partition("/")
    before = set(made(folder.path)["indexes"])
    path = (home if base == "home" else folder.path) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

    assert [url for url in made(folder.path)["indexes"] if url not in before] == found


# The code.


def test_the_code_is_recorded(folder: Folder) -> None:
    found = made(
        folder.path,
        commit="c" * 40, base="b" * 40, branch="main", dirty=True, changed=2,
        bundle_sha256="d" * 64,
        left_out=(LeftOut("big.bin", "too large", 60_000_000),),
        nested=(Nested("lib", "e" * 40, None, {}),),
    )  # fmt: skip

    assert found["bundle_sha256"] == "d" * 64
    assert found["code"] == {
        "commit": "c" * 40,
        "base": "b" * 40,
        "branch": "main",
        "dirty": True,
        "changed": 2,
        "remotes": {},
        "left_out": [{"path": "big.bin", "reason": "too large", "size": 60_000_000}],
        "nested": [{"path": "lib", "commit": "e" * 40, "branch": None, "remotes": {}}],
    }


def test_many_files_left_out_are_counted(folder: Folder) -> None:
    many = tuple(LeftOut(f"{number}", "checkpoint", 1) for number in range(1234))

    code = made(folder.path, left_out=many)["code"]

    assert len(code["left_out"]) == 1000
    assert code["left_out_more"] == 234


@given(st.dictionaries(st.text("0123456789abcdef"), st.binary() | st.text().map(str.encode)))
def test_texts_of_commits_come_back_byte_by_byte(texts: dict[str, bytes]) -> None:
    found = record(CodeFacts(root=Path(), commit_texts=texts), version="2.0.0")

    read = Manifest(json.loads(json.dumps(found)))
    assert list(read.commit_texts()) == list(texts.values())


def test_texts_of_commits_are_not_masked(folder: Folder) -> None:
    text = b"tree 1\n\nuse password = 'hunter2'\n"

    read = Manifest(made(folder.path, commit_texts={"a": text}))

    assert list(read.commit_texts()) == [text]


@pytest.mark.parametrize(
    "texts", [None, 3, [1], {"a": None}, {"a": 3}, {"a": {"base64": "x"}}, {"a": {"base64": "é"}}]
)
def test_a_strangers_texts_of_commits_are_no_harm(texts: object) -> None:
    assert list(Manifest({"code": {"commit_texts": texts}}).commit_texts()) == []


# Notes.


def test_notes_of_any_kind_are_recorded(folder: Folder) -> None:
    loop: list[object] = [1]
    loop.append(loop)
    notes = {
        "lr": numpy.float32(0.5), "steps": numpy.int64(3), "loss": torch.tensor(0.25),
        "best": math.inf, "worst": math.nan, "data": Path("a/b"), "sizes": (1, 2), 3: None,
        "on": True, "name": "caf\udce9", "loop": loop, "token": "abc", "max_tokens": 5,
    }  # fmt: skip

    found = record(CodeFacts(root=folder.path), version="2.0.0", notes=notes)["notes"]  # type: ignore[arg-type]

    assert isinstance(found, dict)
    looped = json.dumps(found.pop("loop"))
    assert looped.startswith("[1, [1, [1, ")
    assert found == {
        "lr": 0.5, "steps": 3, "loss": 0.25, "best": "inf", "worst": "nan", "data": "a/b",
        "sizes": [1, 2], "3": None, "on": True, "name": "caf\\udce9", "token": "***",
        "max_tokens": 5,
    }  # fmt: skip


ANY_TEXT = st.text(st.characters(exclude_categories=()))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner), max_leaves=8
)


@settings(max_examples=50)
@given(st.dictionaries(ANY_TEXT, JSON))
def test_any_notes_can_be_encoded(notes: dict[str, object]) -> None:
    found = record(CodeFacts(root=Path()), version="2.0.0", notes={"given": notes})["notes"]

    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    assert isinstance(found, dict)
    assert set(found) == {"given"}


# Notebooks.

CELLS = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in ("x = 1", "%env WANDB_API_KEY=hunter2", "y = '" + "z" * {size} + "'", "x + 1"):
    shell.run_cell(cell, store_history=True)
sys.stdout.write("\\0")
"""


def test_the_cells_of_a_notebook_are_recorded(folder: Folder) -> None:
    pytest.importorskip("IPython")

    def cells(size: int) -> tuple[str, list[tuple[int, str]]]:
        code = program(folder.path, CELLS.format(size=size))
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder.path, capture_output=True,
            env=os.environ | {"PYTHONPATH": ":".join(sys.path), "JPY_SESSION_NAME": "a.ipynb"},
        )  # fmt: skip
        found = json.loads(done.stdout.rpartition(b"\0")[2])["notebook"]
        return found["name"], [(cell["number"], cell["source"]) for cell in found["cells"]]

    name, short = cells(3)
    assert name == "a.ipynb"
    assert short == [
        (1, "x = 1"), (2, "%env WANDB_API_KEY=***"), (3, "y = 'zzz'"), (4, "x + 1")
    ]  # fmt: skip
    assert cells(100_000)[1] == [(4, "x + 1")]


def test_every_field_is_on_the_page(folder: Folder) -> None:
    install(folder.path, "x", url="file:///x", dir_info={"editable": True}, vcs_info={})
    facts = made(
        folder.path, raw=("a",), cut="it is", commit_texts={"a": b"\xff"}, error="e",
        left_out=tuple(LeftOut("a", "checkpoint", 1) for _ in range(1001)),
        nested=(Nested("lib", None, None, {}),),
        in_use=CodeInUse(
            (IgnoredFile("a.py", None),),
            (Outside("/b", True, ("b.py",), {}, "1" * 40, False, "e"),), ("c.py",), "e",
        ),
    )  # fmt: skip
    page = PAGE.read_text()

    def fields(value: object) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(fields, value))
        return set(value).union(*map(fields, value.values())) if isinstance(value, dict) else set()

    free = {"distributions", "lock_files", "variables", "notes", "remotes"}
    named = fields({name: value for name, value in facts.items() if name not in free}) | free
    missing = {name for name in named - {"a", "base64"} if f"`{name}`" not in page}
    assert missing == set()
    assert {name for name in ("path", "url", "elsewhere", "editable", "commit", "version")
            if f"`{name}`" not in page} == set()  # fmt: skip


# Read again.


def test_what_was_recorded_is_read(folder: Folder) -> None:
    read = Manifest(
        record(
            CodeFacts(
                folder.path, commit="c" * 40, base="b" * 40, branch="main", dirty=True, changed=2,
                remotes={"origin": "https://u:p@h/x"}, cut="it is", error="no git",
                left_out=(LeftOut("big.bin", "too large", 6),), data=(Data("d.csv", 9),),
                secrets=(Credential("a.py", 3, "an AWS key"),), bundle_sha256="d" * 64,
            ),
            version="2.0.0",
            notes={"lr": 0.1},
        )
    )  # fmt: skip

    assert (read.commit, read.base, read.branch) == ("c" * 40, "b" * 40, "main")
    assert (read.dirty, read.changed, read.cut, read.error) == (True, 2, "it is", "no git")
    assert (read.left_out, read.data) == (["big.bin"], ["d.csv"])
    assert read.secrets == [Credential("a.py", 3, "an AWS key")]
    assert read.remotes == {"origin": "https://h/x"}
    assert (read.version, read.bundle_sha256, read.notes) == ("2.0.0", "d" * 64, {"lr": 0.1})
    assert read.created
    assert read.host == platform.node()
    assert read.launched == list(map(str, sys.orig_argv))
    assert read.argv == list(map(str, sys.argv))
    assert read.python["implementation"] == sys.implementation.name
    assert "torch" in read
    assert read.torch["version"] == torch.__version__
    assert "torch" in read.distributions


KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("code", "command", "notes", "python", "torch", "machine"), (dict,)),
    **dict.fromkeys(("distributions", "remotes"), (dict,)),
    **dict.fromkeys(("left_out", "data", "secrets"), (list,)),
    **dict.fromkeys(("ignored", "outside", "changed_since_start", "used_later"), (list,)),
    **dict.fromkeys(("argv", "launched"), (list, type(None))),
    "dirty": (bool, type(None)),
    "changed": (int, type(None)),
}
PROPERTIES = [name for name, each in vars(Manifest).items() if isinstance(each, property)]
FIELDS = [
    *("code", "command", "notes", "machine", "python", "torch", "distributions", "created"),
    *("jellyml", "bundle_sha256", "error", "commit", "base", "branch", "dirty", "changed", "argv"),
    *("remotes", "left_out", "data", "secrets", "cut", "launched", "host", "path", "line"),
    *("commit_texts", "kind", "base64", "ignored", "outside", "changed_since_start"),
]
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), ODD) | ODD)
def test_a_strangers_manifest_reads_as_far_as_it_has_its_form(fields: object) -> None:
    read = Manifest(fields)

    for name in PROPERTIES:
        kinds = KINDS.get(name, (str, type(None)))
        assert isinstance(getattr(read, name), kinds), name
    list(read.commit_texts())
    assert all(isinstance(each, str) for each in (*read.left_out, *read.data, *read.remotes))
    assert len({(one.path, one.line) for one in read.secrets}) <= len(read.secrets)


def test_only_a_whole_id_is_a_commit() -> None:
    for odd in ("main", "--upload-pack=x", "b" * 39, "B" * 40, "b" * 40 + "\n", ["b" * 40]):
        read = Manifest({"code": {"commit": odd, "base": odd}})
        assert (read.commit, read.base) == (None, None)
