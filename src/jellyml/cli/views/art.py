"""The donut and one picture for each command; a picture as the arguments runs its command."""

import re
import shutil
from collections.abc import Sequence

# One letter is a pixel; two rows of pixels are a line on the terminal.
_DONUT = """\
...........iiiiiiiiiiii...........
.......iihhhiiiiiiiiiicciii.......
.....ihhhhiiiyyiiiiiiiiiciiii.....
....ihhiiiiiiiiyiiiiviiiiiiiii....
...ihhiicciiiiiiiiiiiviiiiyyiii...
..ihhiiiiiciiiiiiiiiiiiiiyiiiiiI..
..ihiiiiiiiiIDDDDDDDDIiiiiiiiiiI..
.iiiiioiiiiDDD......DDDiiiiicciiI.
.iiiiiioiiiD..........Diiiiiiciii.
.iiyiiiiiiiI..........iiiviiiiiiI.
.iiiyiiiiiiiI........iiiviiiiiiII.
.IiiiiiivviiiiIIIIIIiiiiiiiiiiyiI.
.IIiiiiiiiiiiiiiiiiiiiiijiiiiyiII.
.dIIiiciiiiioiiiiiiiiiijjjiiiiIId.
.ddIIIiciiiiioiiiiyyiijjjjjiiIIdd.
.DdddIIiiiiiiiiiiiiiyijwjjJIIIddD.
.DdddIIIiiIIiiviiiiIIjjwjjJJIdddD.
..DddddIIIIdIIIviIIIdjwwjjJJddDD..
..DDdddddIddddIIIIdIdjjjjJJJddDD..
...DDDddddddddIIIdddddjjJJJddDDD..
.....DDDDddddddddddddddddddDDDD....
........DDDDDDDDDDDDDDDDDDD......."""

# The 256-colour codes of dough, icing (with light and shade), jelly (likewise) and sprinkles.
_COLOUR = {
    "d": 179, "D": 130, "i": 212, "h": 225, "I": 169, "j": 160, "J": 88, "w": 217,
    "y": 227, "c": 81, "v": 99, "o": 231,
}  # fmt: skip
_SHADE = dict.fromkeys("d", "░") | dict.fromkeys("Dw", "▒") | dict.fromkeys("ihI", "▓")
_SHADE |= dict.fromkeys("jJ", "█") | dict.fromkeys("ycvo", "•")

PICTURES = {
    "eat": """\
 ▄▓▓•▓▄
▓•▓▀ ▀▌
▓▓▓▄ ▄▄▖
 ▀░░░░░▀""",
    "undonut": """\
 ▄▓▓•▓▓▄
▓•▓▀ ▀▓▓▓
▓▓▓▄ ▄▓•▓
 ▀░░░░░▀""",
    "redo": """\
 ▄▓▓•▓▄  ▓▄
▓•▓▀ ▀▌ ▐▓▓▓
▓▓▓▄ ▄▄▖ ▝▓•▓
 ▀░░░░░   ░▀""",
    "restore": """\
               ▄▓▄
 ▄▓▄ ▄▓▄ ▄▓▄   ▀█▀
╭▀█▀─▀█▀─▀█▀───────╮
╰──────────────────╯""",
    "history": """\
 ▄▓▄ ▄▓▄ ▄▓▄ ▄▓▄
╭▀█▀─▀█▀─▀█▀─▀█▀─╮
╰────────────────╯""",
    "doctor": """\
 ▄▓▓•▓▓▄
▓•▓▗█▖▓▓▓
▓▓▓▝█▘▓•▓
 ▀░░░░░▀""",
    "show": """\
 ▄▓▓•▓▓▄  ╭───╮
▓•▓▀ ▀▓▓▓ │ • │
▓▓▓▄ ▄▓•▓ ╰───╯
 ▀░░░░░▀      ╲""",
    "list": """\
▄▓▓•▓▄ ───────
▓• ▓▓▓ ─────
▀░░░░▀ ────────
▄▓•▓▓▄ ──────
▓▓ •▓▓ ────
▀░░░░▀ ───────""",
    "log": """\
▄▓▄
▀█▀─╮ ▄▓▄
 │  ╰─▀█▀
▄▓▄
▀█▀""",
    "check": """\
 ▄▓▓•▓▓▄
▓•▓▀ ▀▓▓▓ ▗▟▖
▓▓▓▄ ▄▓•▓▝█▙▟▛
 ▀░░░░░▀   ▜▘""",
    "diff": """\
 ▄▓▓•▓▄ │ ▄▓▓▓▓▄
▓•▓▗▖▓▓ │ ▓▓▓▗▖▓•
▓▓▓▝▘▓• │ ▓•▓▝▘▓▓
 ▀░░░░▀ │ ▀░░░░▀""",
    "fill": """\
   ▐█▌
 ▄▓▐█▌▓▄
▓•▓▝█▘▓•▓
 ▀░░░░░▀""",
    "record": """\
 ▄▓▓•▓▓▄     ▐█▌
▓•▓▀ ▀▓▓▓  ──▐█▌
▓▓▓▄ ▄▓•▓ ────▝
 ▀░░░░░▀  ▶ ●""",
    "strip": """\
 ▄▓▓•▓▓▄
▓•▓   ▓•▓   ▐█▌
 ▀░░░░░▀   ▐███▌""",
    "git": """\
•──•──•──•──▄▓▄
    ╲       ▀█▀
     •──•""",
    "fix": """\
           ▄▓▓•▓▄
├──▐█████▌───█▓•▓▓
           ▀░░░░▀""",
}
# Icing, dough, jelly, sprinkles. Half blocks are icing; in a line with dough they are dough.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_INK = {"▓": 212, "░": 179, "█": 160, "•": 227} | dict.fromkeys("▄▀▌▐▖▝▗", 212)
_CRUST = _INK | dict.fromkeys("▀", 179)
_JELLY = _INK | dict.fromkeys("▗▖▝▘▐▌", 160)

_CLUES = {
    "eat": "They say a picture is worth a thousand words. Here it is worth one: try to quote it.",
    "undonut": "You may tell jellyml what to do in letters. Letters are not required.",
    "redo": "What you see is what you can type, if you copy well.",
    "restore": "This box is not only to look at. Mind the quotes around it.",
    "history": "Four donuts in a box say all that this command's name says.",
    "doctor": "Not only the doctor's name makes the doctor come; so does the likeness.",
    "show": "A look is worth a thousand words; this one is worth four letters.",
    "list": "Two donuts with a price list are a menu. Order from it, by showing it.",
    "diff": "Spot the differences between these two. They are all that this command needs to hear.",
    "fill": "The jelly goes in from above. So does the picture.",
    "record": "Play it as it is drawn, and what comes after it is recorded.",
    "strip": "Next to every donut is what was in it, and the word for that.",
    "log": "The upper donut was first; the others came of it. To say all that, say this.",
    "check": "A star beside a donut asks: is it clean? You may ask so too.",
    "git": "Copy. Paste. Quote. The graph above knows its own name.",
    "fix": "The needle goes where the words go.",
}


def donut(*, colour: bool) -> list[str]:
    rows = _DONUT.split("\n")
    draw = _coloured if colour else _plain
    return ["".join(map(draw, *pair)) for pair in zip(rows[::2], rows[1::2], strict=True)]


def _coloured(top: str, bottom: str) -> str:
    if top == bottom == ".":
        return " "
    if top == ".":
        return f"\x1b[38;5;{_COLOUR[bottom]}m▄\x1b[0m"
    below = "" if bottom == "." else f";48;5;{_COLOUR[bottom]}"
    return f"\x1b[38;5;{_COLOUR[top]}{below}m▀\x1b[0m"


def _plain(top: str, bottom: str) -> str:
    if "." in (top, bottom):
        return " " if top == bottom else "▄" if top == "." else "▀"
    return "•" if _SHADE[bottom] == "•" else _SHADE[top]


def join_donut(text: Sequence[str], *, colour: bool) -> list[str]:
    """Return the donut with the text to its right, or below it on a narrow terminal."""
    picture = donut(colour=colour)
    if shutil.get_terminal_size().columns < len(_DONUT.split("\n", 1)[0]) + 46:
        return [*picture, "", *text]
    margin = (len(picture) - len(text)) // 2
    lines = [""] * margin + list(text) + [""] * len(picture)
    return [f"{left}  {line}".rstrip() for left, line in zip(picture, lines, strict=False)]


def picture(command: str, *, colour: bool) -> str:
    lines = PICTURES[command].split("\n")
    return "\n".join(map(_inked, lines)) if colour else "\n".join(lines)


def _inked(line: str) -> str:
    jelly = any(drop in line for drop in ("▗█▖", "▝█▘", "▐█"))
    ink = _JELLY if jelly else _CRUST if "░" in line or "▀█▀" in line else _INK
    return "".join(f"\x1b[38;5;{ink[mark]}m{mark}\x1b[0m" if mark in ink else mark for mark in line)


def clue(command: str) -> str:
    return _CLUES[command]


def is_drawable(encoding: str | None) -> bool:
    """Return whether an encoding has the block characters of the pictures."""
    try:
        "".join([*PICTURES.values(), *donut(colour=False)]).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def command_drawn(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return the command whose picture the first words are, and the other words; else None.

    White space is ignored, since shells and copying change it.
    """
    if not words or words[0].isascii():
        return None
    commands = {_squeezed(picture): command for command, picture in PICTURES.items()}
    for colour in (True, False):
        commands[_squeezed(_COLOURS.sub("", "".join(donut(colour=colour))))] = "eat"
    text = ""
    for number, word in enumerate(words, start=1):
        text += _squeezed(word)
        if text in commands:
            return commands[text], list(words[number:])
    return None


def _squeezed(text: str) -> str:
    return "".join(text.split())
