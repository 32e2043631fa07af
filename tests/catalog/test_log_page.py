"""``jellyml log --html FILE``: a page that needs nothing, escapes all, and works in a browser."""

import html
import json
import re
from pathlib import Path

import pytest
from test_log import Runs, evil, runs

from at_the_keyboard import type_command
from jellyml.catalog import differences
from log_pages import Page, browser, shown, written

__all__ = ["evil", "runs"]  # fixtures


def test_the_page_holds_what_differs_between_neighbours(runs: Runs) -> None:
    page = Page(written(runs.repo.path, "runs"))
    data = page.data
    assert [each["path"] for each in data["checkpoints"]] == [
        "runs/one/base.pth",
        "runs/two/epoch9.pth",
        "runs/two/epoch10.pth",
        "runs/three/model.pth",
    ]
    assert [each["commit"] for each in data["checkpoints"]] == [0, 1, 1, 2]
    assert sorted(data["code"]) == ["0 1", "0 2", "1 2"]
    changed = data["code"]["0 1"]
    assert changed["files"] == [["changed", "train.py"]]
    assert "+print('</script><script>alert(1)</script>')" in changed["patch"].split("\n")
    assert len(data["weights"]) == 6
    (cell,) = data["weights"]["0 1"]["changed"]
    assert (cell["layer"], cell["name"], cell["kind"]) == ("model.layers.0", "weight", "changed")
    assert cell["by"] == 1.0  # from ones to twos
    first, second = (data["environments"][data["checkpoints"][n]["environment"]] for n in (0, 1))
    shared = {name for name in first if first[name] == second.get(name)}
    assert {"distributions", "python", "machine"} <= shared  # held once
    assert data["sections"][second["notes"]] == [["note parent", "one/base.pth"]]


def test_what_has_two_parents_has_two_links(runs: Runs) -> None:
    text = written(runs.repo.path, "runs")
    assert text.count('class="merge"') == 1  # from meta/llama, which is none of these
    by_code, by_parent = re.findall(r"<svg.*?</svg>", text)
    assert (by_code.count('class="link'), by_parent.count('class="link')) == (2, 3)
    assert (by_code.count("data-i="), by_parent.count("data-i=")) == (4, 4)
    assert "also from" not in by_parent


def test_json_beside_a_page_stays_json(runs: Runs) -> None:
    said = type_command("log", "--json", "--html", "page.htm", cwd=runs.repo.path)
    assert len(json.loads(said.out)["checkpoints"]) == 4
    assert said.err == "Wrote page.htm. Open it in a browser.\n"


def test_nothing_in_the_page_is_a_strangers_markup(evil: Path) -> None:
    text = written(evil, status=1)  # the bundle is not what its header says

    assert not set("\x1b\u202e\r") & set(text)
    page = Page(text)
    names = {tag for tag, _ in page.elements}
    assert not names & {"img", "i", "a", "iframe", "link", "object", "base"}
    assert [tag for tag, _ in page.elements].count("script") == 2
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not {"src", "href", "xlink:href"} & set(attributes)
    assert "evil</script ><img" in str(page.data)  # as text it is there
    start = text.index('id="data">') + len('id="data">')
    assert not set("<>&") & set(text[start : text.index("</script>", start)])
    assert html.escape("<img src=x onerror=alert(1)>") in text


def test_the_page_may_fetch_nothing_and_run_only_its_own_script(runs: Runs) -> None:
    page = Page(written(runs.repo.path, "runs"))
    policy = next(
        each["content"] for tag, each in page.elements if tag == "meta" and "content" in each
    )
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "style-src", "script-src", "base-uri", "form-action"}
    for name in ("style-src", "script-src"):
        assert re.fullmatch(r"'sha256-[\w+/]{43}='", rules[name])


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("new.html", None, 0),
        ("page.html", "<!DOCTYPE html>\n<p>somebody's", 2),
        ("empty.html", "", 2),
        ("model.html", "weights", 2),
        ("no/folder.html", None, 2),
    ],
)
def test_no_other_file_is_written_over(
    runs: Runs, name: str, content: str | None, status: int
) -> None:
    if content is not None:
        runs.repo.write(name, content)
    said = type_command("log", "runs", "--html", name, cwd=runs.repo.path)
    assert said.status == status
    if content is not None:
        assert runs.repo.read(name) == content.encode()


@pytest.mark.parametrize("name", ["_CODE_SECONDS", "_WEIGHTS_SECONDS", "_MOST_PATCHES"])
def test_what_takes_too_long_is_left_out_aloud(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(differences, name, -1)
    said = type_command("log", "runs", "--html", "page.html", cwd=runs.repo.path)
    assert said.status == 0
    assert "Not all neighbours are compared" in said.err
    data = Page((runs.repo.path / "page.html").read_text()).data
    assert len(data["weights" if name == "_WEIGHTS_SECONDS" else "code"]) == 0


def test_long_patches_are_cut_and_many_pairs_left_out(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differences, "_LONGEST_PATCH", 40)
    monkeypatch.setattr(differences, "MOST_PAIRS", 2)
    data = Page(written(runs.repo.path, "runs")).data
    assert len(data["code"]) == len(data["weights"]) == 2
    for each in data["code"].values():
        assert each["cut"]
        assert each["patch"].startswith("diff --git a/")
        assert each["patch"].endswith("\n")  # whole lines
        assert each["patch"].count("\n") == 1


@browser
def test_two_chosen_are_compared_in_a_browser(runs: Runs, home: Path) -> None:
    written(runs.repo.path, "runs")
    text, complaints = shown(runs.repo.path, home, "page.htm#3,1")  # the older becomes A
    assert complaints == ""
    panel = text[text.index('id="shown"') : text.index('<section id="table"')]
    assert ">A</b>runs/two/epoch9.pth" in panel
    assert ">B</b>runs/three/model.pth" in panel
    assert "-print('&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;')" in panel
    assert '<td>note parent</td><td class="gone">one/base.pth</td><td class="add">[' in panel
    assert 'title="model.layers.0.weight: float32 4x4 by 1' in panel
    assert 'style="opacity: 1;"' in panel
    assert "1 differ, 1 the same." in panel
    assert text.count('class="node full s0 picked"') == 2  # in both graphs


@browser
def test_a_hostile_page_does_nothing_in_a_browser(evil: Path, home: Path) -> None:
    written(evil, status=1)
    text, complaints = shown(evil, home, "page.htm#0,1")
    assert complaints == ""
    assert "<img" not in text
    assert not set("\x1b\u202e") & set(text)
    assert "evil&lt;/script &gt;&lt;img src=x" in text
