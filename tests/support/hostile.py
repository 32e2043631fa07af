"""Bundles that mean harm, and odd ones that mean none: ``CASES`` names them all.

They are made with zlib, hashlib and struct alone, since git would not write most of them.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, partial

KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
PERSON = b"A <a@example.org> 1700000000 +0000"
MIB = 1 << 20

Entry = tuple[str, bytes, str]  # mode, name, id
Build = Callable[[], bytes]


@dataclass(frozen=True)
class Case:
    """A bundle and what is to come of it."""

    build: Build
    refused: str = ""  # words of the refusal; none if it must load
    slow: bool = False  # a limit of time ends it, after seconds


@dataclass
class Pack:
    """A pack made entry by entry; nothing that goes in is checked."""

    algorithm: str = "sha1"
    entries: list[bytes] = field(default_factory=list)

    def put(self, kind: str, content: bytes) -> str:
        self.add(KINDS[kind], len(content), zlib.compress(content))
        return object_id(kind, content, self.algorithm)

    def add(self, kind: int, size: int, deflated: bytes, base: bytes = b"") -> None:
        self.entries.append(_kind_and_size(kind, size) + base + deflated)

    def delta(self, steps: bytes, base_size: int, size: int) -> None:
        """A delta on the entry before."""
        content = _number(base_size) + _number(size) + steps
        base = _distance(len(self.entries[-1]))
        self.add(6, len(content), zlib.compress(content), base)

    def blob(self, content: bytes = b"x\n") -> str:
        return self.put("blob", content)

    def tree(self, *entries: Entry) -> str:
        return self.put("tree", tree_bytes(*entries))

    def commit(
        self,
        tree: str,
        *parents: str,
        author: bytes = PERSON,
        committer: bytes = PERSON,
        message: bytes = b"a message\n",
    ) -> str:
        lines = [b"tree " + tree.encode()]
        lines += [b"parent " + one.encode() for one in parents]
        lines += [b"author " + author, b"committer " + committer, b"", message]
        return self.put("commit", b"\n".join(lines))

    def packed(self, count: int | None = None) -> bytes:
        number = len(self.entries) if count is None else count
        content = b"PACK" + struct.pack(">II", 2, number) + b"".join(self.entries)
        return content + hashlib.new(self.algorithm, content).digest()

    def bundle(self, head: str, lines: bytes = b"") -> bytes:
        return bundle(head, self.packed(), lines, algorithm=self.algorithm)


def bundle(head: str, pack: bytes, lines: bytes = b"", *, algorithm: str = "sha1") -> bytes:
    """``lines`` come between the signature and HEAD's."""
    signature = b"# v2 git bundle\n"
    if algorithm != "sha1":
        signature = b"# v3 git bundle\n@object-format=%s\n" % algorithm.encode()
    return signature + lines + b"%s HEAD\n\n" % head.encode() + pack


def object_id(kind: str, content: bytes, algorithm: str = "sha1") -> str:
    head = b"%s %d\0" % (kind.encode(), len(content))
    return hashlib.new(algorithm, head + content).hexdigest()


def tree_bytes(*entries: Entry) -> bytes:
    return b"".join(
        b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(each)) for mode, name, each in entries
    )


def taken(offset: int, size: int) -> bytes:
    """The step of a delta that takes bytes of its base (fewer than 16 MiB)."""
    return b"\xff" + struct.pack("<I", offset) + struct.pack("<I", size)[:3]


def _kind_and_size(kind: int, size: int) -> bytes:
    first = kind << 4 | size & 15
    return bytes([first | 128]) + _number(size >> 4) if size > 15 else bytes([first])


def _number(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _distance(value: int) -> bytes:
    digits = [value & 127]
    while value := value >> 7:
        value -= 1
        digits.insert(0, value & 127 | 128)
    return bytes(digits)


X = object_id("blob", b"x\n")
FILE: Entry = ("100644", b"file", X)


def small(algorithm: str = "sha1") -> tuple[Pack, str]:
    """One commit of one file, and the commit's id."""
    pack = Pack(algorithm)
    return pack, pack.commit(pack.tree(("100644", b"file", pack.blob())))


# --- the lines before the pack ---


def good(algorithm: str = "sha1") -> bytes:
    pack, head = small(algorithm)
    return pack.bundle(head)


def with_lines(lines: bytes) -> bytes:
    pack, head = small()
    return pack.bundle(head, lines)


def with_start(start: bytes) -> bytes:
    """Instead of signature and HEAD; ``%s`` is the commit."""
    pack, head = small()
    return start.replace(b"%s", head.encode()) + b"\n\n" + pack.packed()


def other_branches() -> bytes:
    pack, head = small()
    other = pack.commit(pack.tree(("100644", b"other", pack.blob(b"y\n"))), head)
    tagged = b"object %s\ntype commit\ntag v1\n\nno tagger\n" % head.encode()
    tag = pack.put("tag", tagged)
    lines = f"{other} refs/heads/other\n{tag} refs/tags/v1\n{head} refs/heads/\x1b[31m\n"
    return pack.bundle(head, lines.encode())


HEADERS = {
    "nothing": Case(bytes, "not a git bundle"),
    "garbage": Case(lambda: b"\0\xff\x1b[2J" * 5000, "not a git bundle"),
    "a signature alone": Case(lambda: b"# v2 git bundle\n", "not a git bundle"),
    "no end of the header": Case(
        lambda: b"# v2 git bundle\n" + b"%s refs/heads/x\n" % X.encode() * 100_000,
        "not a git bundle",
    ),
    "100,000 refs": Case(
        lambda: with_lines(b"%s refs/heads/x\n" % X.encode() * 100_000), "not a git bundle"
    ),
    "an endless line": Case(
        lambda: with_lines(b"%s refs/heads/" % X.encode() + b"x" * MIB + b"\n"), "not a git bundle"
    ),
    "a long line": Case(
        lambda: with_lines(b"%s refs/heads/" % X.encode() + b"x" * 5000 + b"\n"), "not a git bundle"
    ),
    "a line of garbage": Case(lambda: with_lines(b"\x1b[31mgarbage\n"), "not a git bundle"),
    "version 4": Case(lambda: with_start(b"# v4 git bundle\n%s HEAD"), "newer"),
    "a very new version": Case(
        lambda: with_start(b"# v" + b"9" * 5000 + b" git bundle\n%s HEAD"), "newer"
    ),
    "an unknown capability": Case(
        lambda: with_start(b"# v3 git bundle\n@magic=1\n%s HEAD"), "not a git bundle"
    ),
    "an unknown object format": Case(
        lambda: with_start(b"# v3 git bundle\n@object-format=md5\n%s HEAD"), "not a git bundle"
    ),
    "a filter": Case(
        lambda: with_start(b"# v3 git bundle\n@filter=blob:none\n%s HEAD"), "incomplete"
    ),
    "a prerequisite": Case(lambda: with_lines(b"-%s before\n" % X.encode()), "incomplete"),
    "no HEAD": Case(lambda: with_start(b"# v2 git bundle\n%s refs/heads/main"), "HEAD"),
    "HEAD twice": Case(lambda: with_start(b"# v2 git bundle\n%s HEAD\n%s HEAD"), "HEAD"),
    "HEAD in capitals": Case(
        lambda: with_start(b"# v2 git bundle\nABCDEF0123456789ABCDEF0123456789ABCDEF01 HEAD"),
        "not a git bundle",
    ),
    "HEAD cut short": Case(lambda: with_start(b"# v2 git bundle\nabcdef HEAD"), "HEAD"),
    "HEAD of the other format": Case(
        lambda: with_start(b"# v2 git bundle\n" + b"a" * 64 + b" HEAD"), "HEAD"
    ),
    "HEAD as an option": Case(
        lambda: with_start(b"# v2 git bundle\n--upload-pack=touch HEAD"), "incomplete"
    ),
    "a stranger's ref alone": Case(lambda: with_start(b"# v2 git bundle\n%s ../../HEAD"), "HEAD"),
    "other branches and tags": Case(other_branches),
    "version 3": Case(lambda: with_start(b"# v3 git bundle\n@object-format=sha1\n%s HEAD")),
    "SHA-256 announced, SHA-1 inside": Case(
        lambda: with_start(b"# v3 git bundle\n@object-format=sha256\n" + b"a" * 64 + b" HEAD"),
        "damaged|badTree",
    ),
    "SHA-256": Case(partial(good, "sha256")),
}


# --- the pack as a whole ---


def changed(change: Callable[[bytes], bytes]) -> bytes:
    pack, head = small()
    return bundle(head, change(pack.packed()))


def head_at(kind: str) -> bytes:
    pack, head = small()
    text = b"object %s\ntype commit\ntag v\ntagger %s\n\nm\n" % (head.encode(), PERSON)
    heads = {
        "tag": pack.put("tag", text),
        "tree": object_id("tree", tree_bytes(FILE)),
        "blob": X,
        "nothing": "1" * 40,
    }
    return pack.bundle(heads[kind])


def without(kind: str) -> bytes:
    """Two commits; one object of the older is missing."""
    old_tree = tree_bytes(("100644", b"file", object_id("blob", b"old\n")))
    older = Pack()
    old_commit = older.commit(object_id("tree", old_tree))
    pack = Pack()
    if kind != "blob":
        pack.blob(b"old\n")
    if kind != "tree":
        pack.put("tree", old_tree)
    if kind != "parent":
        pack.entries += older.entries
    pack.blob()
    return pack.bundle(pack.commit(pack.tree(FILE), old_commit))


def entry_of(kind: int, size: int, deflated: bytes, base: bytes = b"") -> bytes:
    """A good bundle with one more entry in its pack."""
    pack, head = small()
    pack.add(kind, size, deflated, base)
    return pack.bundle(head)


def delta_of(steps: bytes, base_size: int = 2, size: int = 2) -> bytes:
    pack = Pack()
    pack.blob()
    pack.delta(steps, base_size, size)
    return pack.bundle(pack.commit(pack.tree(FILE)))


def deltas_in_a_ring() -> bytes:
    pack, head = small()
    for mine, other in ((b"a", b"b"), (b"b", b"a")):
        content = _number(2) + _number(2) + taken(0, 2)
        pack.add(7, len(content), zlib.compress(content), hashlib.sha1(other + mine).digest())
    return pack.bundle(head)


EMPTY = zlib.compress(b"")
PACKS = {
    "an empty pack": Case(lambda: bundle("1" * 40, Pack().packed()), "should be a commit"),
    "no pack": Case(lambda: changed(lambda pack: b""), "damaged"),
    "another signature": Case(lambda: changed(lambda pack: b"JUNK" + pack[4:]), "damaged"),
    "half a pack": Case(lambda: changed(lambda pack: pack[: len(pack) // 2]), "damaged"),
    "no checksum": Case(lambda: changed(lambda pack: pack[:-20]), "damaged"),
    "a wrong checksum": Case(
        lambda: changed(lambda pack: pack[:-1] + bytes([pack[-1] ^ 1])), "damaged"
    ),
    "bytes behind the end": Case(lambda: changed(lambda pack: pack + b"junkjunk"), "after its end"),
    "a MiB behind the end": Case(lambda: changed(lambda pack: pack + bytes(MIB)), "after its end"),
    "a count too high": Case(lambda: bundle(small()[1], small()[0].packed(5)), "damaged"),
    "a count too low": Case(lambda: bundle(small()[1], small()[0].packed(2)), "damaged"),
    "a count of four billion": Case(
        lambda: bundle(small()[1], small()[0].packed(2**32 - 1)), "memory|damaged"
    ),
    "HEAD is a tag": Case(partial(head_at, "tag"), "should be a commit"),
    "HEAD is a tree": Case(partial(head_at, "tree"), "should be a commit"),
    "HEAD is a file": Case(partial(head_at, "blob"), "should be a commit"),
    "HEAD is missing": Case(partial(head_at, "nothing"), "should be a commit"),
    "a missing file in history": Case(partial(without, "blob"), "incomplete"),
    "a missing folder in history": Case(partial(without, "tree"), "incomplete"),
    "a missing parent": Case(partial(without, "parent"), "incomplete"),
    "an entry of no kind": Case(partial(entry_of, 0, 0, EMPTY), "damaged"),
    "an entry of a kind to come": Case(partial(entry_of, 5, 0, EMPTY), "damaged"),
    "an entry larger than it says": Case(
        partial(entry_of, 3, 5, zlib.compress(b"x" * 9)), "damaged"
    ),
    "an entry smaller than it says": Case(
        partial(entry_of, 3, 9, zlib.compress(b"x" * 5)), "damaged"
    ),
    "an entry of 2^60 bytes": Case(partial(entry_of, 2, 2**60, EMPTY), "memory|damaged"),
    "a file of 2^60 bytes": Case(partial(entry_of, 3, 2**60, EMPTY), "memory|damaged"),
    "an entry that is not deflated": Case(partial(entry_of, 3, 5, b"hello"), "damaged"),
    "a delta on nothing": Case(
        partial(entry_of, 7, 4, zlib.compress(b"\2\2\x90\2"), b"\1" * 20), "incomplete"
    ),
    "a delta on what lies before the pack": Case(
        partial(entry_of, 6, 4, zlib.compress(b"\2\2\x90\2"), _distance(9999)), "damaged"
    ),
    "a delta on itself": Case(
        partial(entry_of, 6, 4, zlib.compress(b"\2\2\x90\2"), b"\0"), "damaged"
    ),
    "deltas in a ring": Case(deltas_in_a_ring, "incomplete"),
    "a delta of a step that is not": Case(partial(delta_of, b"\0"), "damaged"),
    "a delta that takes too much": Case(partial(delta_of, taken(0, 99), 2, 99), "damaged"),
    "a delta of a wrong base": Case(partial(delta_of, taken(0, 2), 99), "damaged"),
    "a delta of a wrong size": Case(partial(delta_of, taken(0, 2), 2, 99), "damaged"),
    "a good delta": Case(partial(delta_of, taken(0, 2) * 2, 2, 4)),
}


def tip(*entries: Entry, blobs: tuple[bytes, ...] = ()) -> bytes:
    """One commit of one tree; the pack holds ``x\n`` and ``blobs``."""
    pack = Pack()
    for content in (b"x\n", *blobs):
        pack.blob(content)
    return pack.bundle(pack.commit(pack.tree(*entries)))


def named(*names: bytes, mode: str = "100644") -> bytes:
    return tip(*((mode, name, X) for name in sorted(names)))


def nested(*folders: bytes) -> bytes:
    """A file in folder in folder."""
    pack = Pack()
    mode, each = "100644", pack.blob()
    for name in (b"file", *reversed(folders)):
        each = pack.tree((mode, name, each))
        mode = "40000"
    return pack.bundle(pack.commit(each))


# --- more than it seems ---


def memory_bomb() -> bytes:
    """16 KB that make 1.5 GB."""
    pack = Pack()
    size = 15 * MIB
    blob = pack.blob(bytes(size))
    pack.delta(taken(0, size) * 100, size, size * 100)
    return pack.bundle(pack.commit(pack.tree(("100644", b"file", blob))))


def time_bomb() -> bytes:
    """25 KB that take 12 s: 400 deltas, each on the one before."""
    pack = Pack()
    size = 15 * MIB
    blob = pack.blob(bytes(size))
    for each in range(size, size - 400, -1):
        pack.delta(taken(1, each - 1), each, each - 1)
    return pack.bundle(pack.commit(pack.tree(("100644", b"file", blob))))


@cache  # a second to make
def long_message() -> bytes:
    pack = Pack()
    return pack.bundle(
        pack.commit(pack.tree(("100644", b"file", pack.blob())), message=bytes(210 * MIB))
    )


@cache
def large_file() -> bytes:
    return flat(1, bytes(210 * MIB))


@cache
def large_folder() -> bytes:
    pack = Pack()
    entry = tree_bytes(("100644", b"n" * 100, pack.blob()))
    return pack.bundle(pack.commit(pack.put("tree", entry * (210 * MIB // len(entry)))))


def unfolding(depth: int = 10, *, files: bool = True) -> bytes:
    """Folders, each of which holds the next ten times."""
    pack = Pack()
    mode, below = ("100644", pack.blob()) if files else ("40000", pack.tree())
    for _ in range(depth):
        below = pack.tree(*((mode, b"%02d" % each, below) for each in range(10)))
        mode = "40000"
    return pack.bundle(pack.commit(below))


def chain(depth: int, *, all_in_root: bool = False) -> bytes:
    """A folder in a folder in a folder; the root may name each of them."""
    pack = Pack()
    entry: Entry = ("100644", b"d", pack.blob())
    folders = []
    for _ in range(depth):
        entry = ("40000", b"d", pack.tree(entry))
        folders.append(entry[2])
    everyone = [("40000", b"%06d" % number, each) for number, each in enumerate(folders)]
    return pack.bundle(pack.commit(pack.tree(*everyone if all_in_root else [entry])))


def chained_folders(count: int) -> bytes:
    """Large folders, each a delta on the one before: to read one is to make all before it."""
    pack = Pack()
    rest = tree_bytes(*(("100644", b"%02d" % each + b"n" * 4000, X) for each in range(25)))
    first, after = rest[: len(b"100644 00")], rest[len(b"100644 000000") :]
    ids: list[str] = []
    for number in range(count):
        content = first + b"%04d" % number + after
        if ids:
            steps = bytes([13]) + content[:13] + taken(13, len(after))
            pack.delta(steps, len(content), len(content))
            ids.append(object_id("tree", content))
        else:
            ids.append(pack.put("tree", content))
    pack.blob()
    entries = (("40000", b"%04d" % number, each) for number, each in enumerate(ids))
    return pack.bundle(pack.commit(pack.tree(*entries)))


def long_paths() -> bytes:
    """32,768 files whose paths take 3,780 bytes each."""
    pack = Pack()
    mode, below = "100644", pack.blob()
    for _ in range(15):
        below = pack.tree(*((mode, b"%d" % each + b"n" * 250, below) for each in range(2)))
        mode = "40000"
    return pack.bundle(pack.commit(below))


def flat(count: int, content: bytes = b"x\n") -> bytes:
    """One file under many names in one folder."""
    pack = Pack()
    blob = pack.blob(content)
    return pack.bundle(
        pack.commit(pack.tree(*(("100644", b"%07d" % each, blob) for each in range(count))))
    )


@cache
def long_name() -> bytes:
    return named(b"n" * 64 * MIB)


@cache
def four_million_files() -> bytes:
    return flat(4_000_000)


def side_by_side(count: int) -> bytes:
    """Distinct folders in one: more to ask for, and to be told, than pipes hold."""
    pack = Pack()
    blob = pack.blob()
    folders: list[Entry] = []
    for each in range(count):
        names = (b"%d" % each + b"n" * 50 + b"%d" % number for number in range(3))
        folders.append(
            ("40000", b"%05d" % each, pack.tree(*(("100644", name, blob) for name in names)))
        )
    return pack.bundle(pack.commit(pack.tree(*folders)))


BOMBS = {
    "16 KB that take 1.6 GB": Case(memory_bomb, "time or memory"),
    "25 KB that take 12 s": Case(time_bomb, "time or memory", slow=True),
    "a message of 210 MB": Case(long_message, "time or memory", slow=True),
    "a folder of 210 MB": Case(large_folder, "time or memory", slow=True),
    "832 bytes that name 10^10 files": Case(unfolding, "more than 1,000,000"),
    "10^200 files": Case(partial(unfolding, 200), "more than 1,000,000"),
    "10^200 empty folders": Case(partial(unfolding, 200, files=False), "more than 1,000,000"),
    "4,000,000 files": Case(four_million_files, "more than 1,000,000|memory", slow=True),
    "3,000 folders deep": Case(partial(chain, 3000), "too long"),
    "1,300 folders deep, all named by the root": Case(
        partial(chain, 1300, all_in_root=True), "too long"
    ),
    "5,000 bytes of path": Case(partial(nested, *[b"n" * 250] * 20), "too long"),
    "64 MB of name": Case(long_name, "too long"),
    "paths that take 200 MB": Case(long_paths, "too long"),
    "5 GB in 350 files": Case(partial(flat, 350, bytes(15 * MIB)), "more than the 4,294,967,296"),
    "folders that take minutes to read": Case(
        partial(chained_folders, 4000), "time or memory", slow=True
    ),
    "a file of 210 MB": Case(large_file),
    "1,000 folders deep": Case(partial(chain, 1000)),
    "4,000 files": Case(partial(flat, 4000)),
    "4,000 folders": Case(partial(side_by_side, 4000)),
}


# --- trees ---


def beside(link: bytes, *folders: bytes, target: bytes = b"/tmp") -> bytes:
    """A symlink, and beside it folders that hold a file each."""
    pack = Pack()
    entries: list[Entry] = [("120000", link, pack.blob(target))]
    folder = pack.tree(("100644", b"file", pack.blob()))
    entries += [("40000", name, folder) for name in folders]
    entries.sort(key=lambda entry: entry[1] + b"/" * (entry[0] == "40000"))
    return pack.bundle(pack.commit(pack.tree(*entries)))


def pointing(target: bytes) -> bytes:
    return beside(b"link", target=target)


def holding(name: bytes, text: bytes, mode: str = "100644") -> bytes:
    """One file that git itself reads."""
    return tip((mode, name, object_id("blob", text)), ("160000", b"sub", "1" * 40), blobs=(text,))


def modules(name: bytes = b"sub", path: bytes = b"sub", more: bytes = b"") -> bytes:
    """What a ``.gitmodules`` says."""
    text = b'[submodule "%s"]\n\tpath = %s\n\turl = https://example.org/s\n\t%s\n'
    return text % (name, path, more)


def of_another_kind(mode: str) -> bytes:
    pack = Pack()
    each = pack.blob() if mode == "40000" else pack.tree()
    return pack.bundle(pack.commit(pack.tree((mode, b"a", each))))


def twins() -> bytes:
    """A file and a folder of one name, with another between them as git sorts."""
    pack = Pack()
    blob, folder = pack.blob(), pack.tree()
    entries = ("100644", b"a", blob), ("100644", b"a.b", blob), ("40000", b"a", folder)
    return pack.bundle(pack.commit(pack.tree(*entries)))


def with_folder(mode: str) -> bytes:
    pack = Pack()
    folder = pack.tree(("100644", b"file", pack.blob()))
    return pack.bundle(pack.commit(pack.tree((mode, b"folder", folder))))


def tree_of(content: bytes) -> bytes:
    pack = Pack()
    pack.blob()
    return pack.bundle(pack.commit(pack.put("tree", content)))


DOT_GIT = (
    b".git", b".GIT", b".Git", b"git~1", b"GIT~1", b".git.", b".git ", b".git . .", b".git:x",
    b".git::$INDEX_ALLOCATION", b".git ::$INDEX_ALLOCATION", b"git~1::$DATA", b"a\\.git",
    b".git\\config", b"a\\GIT~1\\b", *(".g\N{ZERO WIDTH NON-JOINER}it".encode(),
    "\N{ZERO WIDTH NO-BREAK SPACE}.git".encode(), ".GIT\N{RIGHT-TO-LEFT OVERRIDE}".encode()),
)  # fmt: skip
ELSEWHERE = (
    b"", b".", b"..", b"/", b"/etc", b"a/b", b"../x", b"\\", b"\\etc", b"\\\\host\\share", b"..\\x",
    b"a\\..\\b", b"a\\..", b"C:", b"c:\\x", b"C:x", b"z:stream",
)  # fmt: skip
UNUSUAL = (
    b" ", b"a b", b"'", b'"', b"a\nb", b"\x1b[31m", b"\r", b"\t", b"\x7f", b"\xff\xfe", b"\xc3",
    b"-rf", b"--exec=x", b"$(touch x)", b"`x`", b"a;b", b"a|b", b"*", b"?", b"~", b"#", b"%s",
    b"{}", b"...", b".gitx", b".gi", b"git", b"git~2", b".git2", b"x.git", b".gitignore", b"a\\b",
    b"a\\", b"ab:c", b"con", b"nul.txt", b"y.", b"y ", "\N{RIGHT-TO-LEFT OVERRIDE}x".encode(),
    "\N{LATIN SMALL LETTER U WITH DIAERESIS}".encode(), b"n" * 255,
)  # fmt: skip
INTO_GIT = (
    b".git", b".git/hooks", b"../.git/config", b"/home/me/work/.git/hooks", b"./.GIT/hooks",
    b"a\\.git\\b", b"git~1/hooks", b".git./x", b"x/../.git",
    ".g\N{ZERO WIDTH JOINER}it/config".encode(),
)  # fmt: skip
ANYWHERE = (
    b"/etc/passwd", b"../../../..", b"nowhere", b"link", b"/", b".", b"a b\n", b"\xff",
    b".github/x", b".gitignore", b"C:\\x", b"x" * 4095,
)  # fmt: skip


def _each(build: Callable[[bytes], bytes], names: Iterable[bytes], refused: str) -> dict[str, Case]:
    return {
        f"{build.__name__} {name[:40]!a}": Case(partial(build, name), refused) for name in names
    }


EMPTY_TREE = object_id("tree", b"")
TREES = {
    "an empty tree": Case(tip),
    "a submodule": Case(partial(tip, ("160000", b"sub", "1" * 40))),
    "unusual names": Case(partial(named, *UNUSUAL)),
    "names that differ by case": Case(partial(named, b"a", b"A")),
    "names that differ by Unicode form": Case(partial(named, "ü".encode(), "u\u0308".encode())),
    "a filter named by attributes": Case(partial(holding, b".gitattributes", b"* filter=evil\n")),
    "a good .gitmodules": Case(partial(holding, b".gitmodules", modules())),
    "a symlink beside a folder": Case(partial(beside, b"a", b"b")),
    "a file twice": Case(partial(tip, FILE, FILE), "duplicateEntries"),
    "a file and a folder of one name": Case(twins, "duplicateEntries"),
    "unsorted": Case(partial(tip, FILE, ("100644", b"a", X)), "treeNotSorted"),
    "half a tree": Case(partial(tree_of, tree_bytes(FILE)[:-3]), "badTree|damaged"),
    "a tree of garbage": Case(partial(tree_of, b"garbage"), "badTree|damaged"),
    "a file of no object": Case(partial(tip, ("100644", b"a", "0" * 40)), "nullSha1"),
    "a file that is missing": Case(partial(tip, ("100644", b"a", "1" * 40)), "incomplete"),
    "a folder that is missing": Case(partial(tip, ("40000", b"a", "1" * 40)), "incomplete"),
    "a folder that is a file": Case(partial(of_another_kind, "40000"), "damaged"),
    "a file that is a folder": Case(partial(of_another_kind, "100644"), "damaged"),
    "a symlink that is a folder": Case(partial(of_another_kind, "120000"), "damaged"),
    "below a symlink": Case(partial(beside, b"a", b"a"), "duplicateEntries"),
    "below a symlink by case": Case(partial(beside, b"A", b"a"), "symlink"),
    "below a symlink on Windows": Case(partial(beside, b"a", b"a."), "symlink"),
    "below a symlink by Unicode": Case(
        partial(beside, "ü".encode(), "U\u0308".encode()), "symlink"
    ),
    "a symlink to nothing": Case(partial(pointing, b""), "valid target"),
    "a symlink with NUL": Case(partial(pointing, b"a\0b"), "valid target"),
    "a symlink too long": Case(partial(pointing, b"x" * 4096), "valid target"),
    "a symlink of 15 MB": Case(partial(pointing, bytes(15 * MIB)), "valid target"),
    **_each(named, DOT_GIT, "hasDotgit|another place"),
    **_each(nested, DOT_GIT, "hasDotgit|another place"),
    **_each(named, ELSEWHERE, "hasDot|badTree|fullPathname|another place"),
    **_each(nested, ELSEWHERE, "hasDot|badTree|fullPathname|another place"),
    **_each(pointing, INTO_GIT, "links into .git"),
    **_each(pointing, ANYWHERE, ""),
    **{
        f"mode {mode}": Case(partial(named, b"a", mode=mode))
        for mode in ("100755", "0100644", "100664")
    },
    "mode 040000": Case(partial(with_folder, "040000")),
    "mode 40755": Case(partial(with_folder, "40755"), "neither|damaged|bad"),
    **{
        f"mode {mode}": Case(partial(named, b"a", mode=mode), "neither|damaged|bad")
        for mode in ("100600", "100777", "0", "20000", "60000", "140000", "777777777", "99", "")
    },
    **{
        f".gitmodules, {fault}": Case(partial(holding, b".gitmodules", text), fault)
        for fault, text in {
            "gitmodulesUrl": modules(more=b"url = -u./evil"),
            "gitmodulesPath": modules(path=b"--evil"),
            "gitmodulesName": modules(name=b"../../evil"),
            "gitmodulesUpdate": modules(more=b"update = !touch evil"),
        }.items()
    },
    ".gitmodules by its short name": Case(
        partial(holding, b"GITMOD~1", modules(more=b"url = -u./evil")), "gitmodulesUrl"
    ),
    ".gitmodules that is a symlink": Case(
        partial(holding, b".gitmodules", b"elsewhere", mode="120000"), "gitmodulesSymlink"
    ),
}


# --- commits, and what lies behind the newest ---


def commit_of(author: bytes = PERSON, message: bytes = b"m\n") -> bytes:
    pack = Pack()
    tree = pack.tree(("100644", b"file", pack.blob()))
    old = pack.commit(tree, author=author, committer=author, message=message)
    return pack.bundle(pack.commit(tree, old, author=author, message=message))


def raw_commit(text: bytes) -> bytes:
    """``%t`` is the tree."""
    pack = Pack()
    tree = pack.tree(("100644", b"file", pack.blob()))
    return pack.bundle(pack.put("commit", text.replace(b"%t", tree.encode())))


def behind(*entries: Entry) -> bytes:
    """Entries that an old commit has and the newest has not."""
    pack = Pack()
    pack.blob()
    pack.tree()
    old = pack.commit(pack.tree(*entries))
    return pack.bundle(pack.commit(pack.tree(FILE), old))


BLEMISHES = {
    "a zone": b"A <a@example.org> 1200000000 +051800",
    "no zone": b"A <a@example.org> 1200000000",
    "a date in words": b"A <a@example.org> Thu Jan 1 1970",
    "a date of years to come": b"A <a@example.org> 18446744073709551619 +0000",
    "a padded date": b"A <a@example.org> 01200000000 +0000",
    "an e-mail without end": b"A <a@example.org 1200000000 +0000",
    "an e-mail in an e-mail": b"A <a <a@example.org>> 1200000000 +0000",
    "no e-mail": b"A 1200000000 +0000",
    "no name": b"<a@example.org> 1200000000 +0000",
    "no space before the e-mail": b"A<a@example.org> 1200000000 +0000",
    "no space before the date": b"A <a@example.org>1200000000 +0000",
    "a name with a bracket": b"A> <a@example.org> 1200000000 +0000",
    "a name that is not text": b"\xff\x1b[31m <a@example.org> 1200000000 +0000",
}
COMMITS = {
    **{f"old: {what}": Case(partial(commit_of, author)) for what, author in BLEMISHES.items()},
    "old: NUL in a message": Case(partial(commit_of, message=b"a\0b\n")),
    "old: two authors": Case(partial(commit_of, PERSON + b"\nauthor " + PERSON)),
    "old: a message for terminals": Case(partial(commit_of, message=b"\x1b]0;evil\x07\x1b[2J\xff")),
    "old: a padded mode": Case(partial(behind, ("040000", b"a", EMPTY_TREE))),
    "old: a mode of its own": Case(partial(behind, ("100600", b"a", X))),
    "a commit without a tree": Case(
        partial(raw_commit, b"author " + PERSON + b"\n\nm\n"), "damaged|missingTree"
    ),
    "a commit without an author": Case(
        partial(raw_commit, b"tree %t\ncommitter " + PERSON + b"\n\nm\n"), "missingAuthor"
    ),
    "NUL in a commit's header": Case(
        partial(raw_commit, b"tree %t\nauthor A\0 <a@b> 1 +0000\n\nm\n"), "nulInHeader"
    ),
    "a commit of garbage": Case(
        partial(raw_commit, b"garbage"), "damaged|bad|missing|unterminated"
    ),
    "an empty commit": Case(partial(raw_commit, b""), "damaged|bad|missing|unterminated"),
    "a commit of a file": Case(
        partial(
            raw_commit,
            b"tree " + X.encode() + b"\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n",
        ),
        "damaged",
    ),
    "behind the newest: .git": Case(partial(behind, ("100644", b".GIT", X)), "hasDotgit"),
    "behind the newest: ..": Case(partial(behind, ("40000", b"..", EMPTY_TREE)), "hasDotdot"),
    "behind the newest: a file twice": Case(partial(behind, FILE, FILE), "duplicateEntries"),
}

CASES: dict[str, Case] = HEADERS | PACKS | BOMBS | TREES | COMMITS
