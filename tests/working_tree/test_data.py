"""Data that git does not know goes along with the code, and that is said."""

import warnings

import pytest

import jellyml
from at_the_keyboard import save_model, type_command
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from jellyml.working_tree.exclude import looks_like_data

ROWS = b"name,age\n" + b"somebody,42\n" * 100_000


def told(repo: Folder) -> list[str]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        jellyml.create_snapshot(repo.path)
    return [str(one.message) for one in said]


@pytest.mark.parametrize(
    ("name", "size", "is_data"),
    [
        ("patients.csv", 1_000_000, True),
        ("patients.csv", 999_999, False),
        ("a/b/TRAIN.Parquet", 2_000_000, True),
        ("scan.nii.gz", 2_000_000, True),
        ("train.jpg", 2_000_000, True),
        ("train.py", 2_000_000, False),
        ("csv", 2_000_000, False),
        ("parse_csv.c", 2_000_000, False),
        ("notebook.ipynb", 2_000_000, False),
        ("uv.lock", 2_000_000, False),
    ],
)
def test_what_looks_like_data(name: str, size: int, *, is_data: bool) -> None:
    assert looks_like_data(name.encode(), size) == is_data


def test_it_is_named_once_with_its_size_and_a_way_out(repo: Folder) -> None:
    repo.write("tables/patients.csv", ROWS)
    for number in range(4):
        repo.write(f"more/{number}.csv", ROWS[: 1_100_000 + number])
    for _ in range(2):  # the second comes from the cache
        (sentence,) = told(repo)
        assert sentence == (
            "The snapshot holds what looks like data: tables/patients.csv (1.2 MB), more/3.csv"
            " (1.1 MB), more/2.csv (1.1 MB) and 2 more."
            " Fix: name it in .gitignore, or commit it to keep it in the snapshot"
        )
    repo.write(".gitignore", "tables\nmore\n")
    assert told(repo) == []


def test_what_is_committed_is_meant_to_go(repo: Folder) -> None:
    repo.write("patients.csv", ROWS)
    repo.commit()
    repo.write("patients.csv", ROWS * 2)
    assert told(repo) == []


def test_the_manifest_show_and_check_name_it(repo: Folder) -> None:
    repo.write("patients.csv", ROWS)
    with pytest.warns(jellyml.JellyWarning, match="looks like data"):
        model = save_model(repo)
    code = (Checkpoint.open(model).manifest or {})["code"]
    assert isinstance(code, dict)
    assert code["data"] == [{"path": "patients.csv", "size": len(ROWS)}]
    assert (
        "data          patients.csv went along\n" in type_command("show", model, cwd=repo.path).out
    )
    said = type_command("check", model, cwd=repo.path)
    assert (said.status, said.out) == (1, "patients.csv: data\n")


def test_a_large_table_stays_out_as_ever(repo: Folder) -> None:
    repo.write("patients.csv", ROWS)
    repo.write("pyproject.toml", "[tool.jellyml]\nmax_file_size = 1_100_000\n")
    (sentence,) = told(repo)
    assert "left out" in sentence
    assert "looks like data" not in sentence
