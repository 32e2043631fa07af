"""A manifest of odd names and numbers: what JellyML prints as JSON is JSON, and the page works."""

import hashlib
import json
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from at_the_keyboard import type_command
from checkpoint_files import our_filling, saved, tensor
from conftest import Folder
from jellyml.checkpoint import MANIFEST_SIDECAR, SIDECAR
from jellyml.errors import BadSnapshot
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.snapshot import serialization
from log_pages import Page, browser, shown, written

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("show", "0.pth", "--json"),
    ("list", "--json", "."),
    ("log", "--json", "."),
    ("log", "--json", "--by", "parent", "."),
    ("diff", "0.pth", "1.pth", "--json"),
    ("check", "0.pth", "--json"),
)
NO_NUMBERS = ("1e999", "-1e999", "1E400", "NaN", "Infinity", "-Infinity", "1" * 400, "9" * 5000)
NAMES = (
    "toString",
    "constructor",
    "__proto__",
    "hasOwnProperty",
    "valueOf",
    "prototype",
    "length",
    "",
    "0",
    "\ud800",
    "</script>",
)


def record(content: str) -> bytes:
    """A manifest's record around any text, which ``manifest_record`` might refuse."""
    data = content.encode()
    head = {
        "magic_number": "jelly_ml_manifest",
        "manifest_offset": serialization.HEADER_SIZE,
        "manifest_size": len(data),
        "version": serialization.MANIFEST_VERSION,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return json.dumps(head).encode().ljust(serialization.HEADER_SIZE, b"\0") + data


def model(place: Folder, name: str, manifest: str, weight: torch.Tensor | None = None) -> None:
    records = {KEY: tensor(our_filling()), MANIFEST_KEY: tensor(record(manifest))}
    weights = torch.ones(3) if weight is None else weight
    place.write(name, saved({**records, "weight": weights}))


def strict(text: str) -> object:
    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse) if text else None


@pytest.mark.parametrize("number", NO_NUMBERS, ids=lambda text: text[:10])
def test_what_no_number_holds_is_not_passed_on(folder: Folder, number: str) -> None:
    manifest = (
        f'{{"created": {number}, "code": {{"changed": {number}}}, "notes": {{"x": {number}}}}}'
    )
    for name in ("0.pth", "1.pth"):
        model(folder, name, manifest)
    for words in COMMANDS:
        said = type_command(*words, cwd=folder.path)
        assert said.status in (0, 1), said
        strict(said.out)
        assert "mistake of its own" not in said.err
    for words in (("show", "0.pth"), ("list", "."), ("log", "."), ("diff", "0.pth", "1.pth")):
        assert type_command(*words, cwd=folder.path).status in (0, 1)
    strict(json.dumps(Page(written(folder.path, status=1)).data))
    with pytest.raises(BadSnapshot):
        serialization.parse_json(manifest.encode())


@pytest.mark.parametrize("number", ["1e308", "-1e308", "1" * 300, "0.1", "-0", "1e-999"])
def test_what_a_number_holds_comes_through(number: str) -> None:
    parsed = serialization.parse_json(f'{{"notes": {number}}}'.encode())
    assert parsed["notes"] == json.loads(number)


def test_a_sidecar_is_read_no_other_way(folder: Folder) -> None:
    bundle = our_filling()[serialization.HEADER_SIZE :]
    folder.write(f"model/{SIDECAR}", bundle)
    digest = hashlib.sha256(bundle).hexdigest()
    folder.write(
        f"model/{MANIFEST_SIDECAR}", f'{{"bundle_sha256": "{digest}", "notes": {{"x": 1e999}}}}'
    )
    said = type_command("show", "model", "--json", cwd=folder.path)
    assert said.status == 1, said
    strict(said.out)


def test_weights_that_leave_every_measure(folder: Folder) -> None:
    """The change by the norm of what was is more than a number holds."""
    model(folder, "0.pth", '{"created": "2024"}', torch.full((3,), 1e-161, dtype=torch.float64))
    model(folder, "1.pth", '{"created": "2025"}', torch.full((3,), 1e153, dtype=torch.float64))
    for words in (*COMMANDS, ("diff", "0.pth", "1.pth", "--json", "--only", "weights")):
        strict(type_command(*words, cwd=folder.path).out)
    data = Page(written(folder.path, status=1)).texts["script"][0]
    strict(data)


def test_odd_texts_and_a_name_that_is_there_twice(folder: Folder) -> None:
    odd = json.dumps({name: {name: name} for name in NAMES})
    for name in ("0.pth", "1.pth"):
        model(folder, name, f'{{"a": 1, "a": 2, "command": {{"argv": ["\\udfff"]}}, {odd[1:]}')
    for words in COMMANDS:
        said = type_command(*words, cwd=folder.path)
        assert said.status in (0, 1), said
        strict(said.out)
        assert "mistake of its own" not in said.err
    shown_again = type_command("show", "0.pth", "--json", cwd=folder.path)
    assert json.loads(shown_again.out)["manifest"]["a"] == 2


@browser
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_name_in_the_page(folder: Folder, home: Path, name: str, both: bool) -> None:
    """Of a section, a package, a note, a variable, a parent; in both checkpoints or in one."""
    for number in range(2):
        odd = {name: str(number)} if both or number else {}
        manifest = {
            "created": f"202{number}",
            **({name: {name: str(number)}} if both or number else {}),
            "distributions": {each: {"version": odd[each]} for each in odd},
            "notes": {**odd, "parent": name, "plain": str(number)},
            "variables": odd,
        }
        weight = torch.full((3,), float(number))
        records = {KEY: tensor(our_filling()), MANIFEST_KEY: tensor(record(json.dumps(manifest)))}
        folder.write(f"{number}.pth", saved({**records, f"{name}.weight": weight}))
    written(folder.path, status=1)  # the bundle is not what its header says

    text, complaints = shown(folder.path, home, "page.htm#0,1")

    assert complaints == ""
    assert '<td>note plain</td><td class="gone">0</td><td class="add">1</td>' in text
    if name and name.isascii() and name.isalpha():
        assert f"<td>package {name}</td>" in text
        assert f"<td>note {name}</td>" in text
    assert "<h3>Weights</h3>" in text
