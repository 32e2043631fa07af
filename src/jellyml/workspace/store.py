"""The private object store: what a workspace can be brought back to.

It lies in the repository's common git directory and borrows the user's objects through
alternates. Commits that the user made are kept alive by refs in the user's repository; all
else (untracked files, snapshots, states) has objects and refs in the store alone, where no
push publishes it and no ``gc`` of the user's looks.
"""

import os
import re
import shutil
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from jellyml.errors import GitError, UnsafeToContinue, pasteable
from jellyml.fs import atomic
from jellyml.repo import worktrees
from jellyml.repo.git import Git, bare_config, make_bare
from jellyml.repo.repository import Repository
from jellyml.working_tree.scratch import Scratch
from jellyml.workspace import keep_refs, store_packs
from jellyml.workspace.keep_refs import KEEP
from jellyml.workspace.state import OPERATION

# The second is what git before 2.36 knows; a newer one takes the first.
_DURABLE = {"core__fsync": "all", "core__fsyncObjectFiles": "true"}


_USERS_OBJECTS = b"../../../objects\n"  # from the store's own


@dataclass(frozen=True)
class Store:
    """The store of one repository and the private folder of one worktree of it."""

    repository: Repository

    @classmethod
    def open(cls, repository: Repository) -> "Store":
        """The store, made where there is none. Raises OSError."""
        store = cls(repository)
        worktrees.mark(repository)
        for folder in (store.base, store.private.parent, store.private):
            folder.mkdir(exist_ok=True, mode=0o700)  # parents=True would make them for all to read
        if not store._alternates.exists():
            make_bare(store.bare, repository.object_format)
            for name, _, _ in os.walk(store.bare):
                Path(name).chmod(0o700)
        store._make_plain()
        return store

    def _make_plain(self) -> None:
        """Have the store be nobody's but this repository's: it may have come with the folder.

        Its two files of settings always say the same. Raises UnsafeToContinue for one that git
        would take for a part of another repository.
        """
        strange = self.bare / "commondir"
        if os.path.lexists(strange):
            raise UnsafeToContinue(
                f"{strange} makes the store of JellyML a part of another repository. Nothing was"
                " changed.",
                f"look at it, then move it away: mv {pasteable(strange)} {pasteable(strange)}.old",
            )
        config = bare_config(self.repository.object_format).encode()
        # Relative, so that it holds when the repository is moved. Written last: a store that
        # has it is whole.
        for file, text in ((self.bare / "config", config), (self._alternates, _USERS_OBJECTS)):
            if not file.exists() or file.read_bytes() != text:
                atomic.replace(file, [text])

    @property
    def _alternates(self) -> Path:
        return self.bare / "objects" / "info" / "alternates"

    def clear_litter(self) -> None:
        """Drop what killed commands left half made: scratch folders, git's locks and packs."""
        for folder in (*self.private.glob("jellyml-*"), self.private / "fresh"):
            atomic.remove_tree(folder)
        theirs, own = self.repository.common_dir / "refs", self.repository.git_dir
        half = f"{atomic.BESIDE}*"  # what was being put there when we were killed
        for litter in (
            *self.private.glob(".?*"),
            *self.private.glob("index*"),
            *self.private.glob("HEAD"),
            *self.private.glob("packed-refs"),
            *self.private.glob("ops/.?*"),
            *self.bare.glob("*.lock"),
            *(self.bare / ref for ref in self._ref_files("refs") if _is_litter(ref)),
            *self.packs.glob("tmp_*"),
            *self.bare.glob(f"objects/info/{half}"),
            *self.large.glob(f"objects/*/*/{half}"),
            *own.glob(half),
            *(path for name in OPERATION for path in (own / name).rglob(half)),
            *theirs.glob("jellyml/**/*.lock"),
            *theirs.glob("heads/jellyml-*.lock"),
        ):
            litter.unlink(missing_ok=True)

    @cached_property
    def base(self) -> Path:
        return worktrees.base_of(self.repository)

    @cached_property
    def removed(self) -> Path:
        return worktrees.removed_of(self.repository)

    @cached_property
    def bare(self) -> Path:
        return self.base / "store"

    @cached_property
    def packs(self) -> Path:
        return self.bare / "objects" / "pack"

    @cached_property
    def _their_packs(self) -> Path:
        return self.repository.objects / "pack"

    @cached_property
    def large(self) -> Path:
        """What the states need of git-lfs's store."""
        return self.base / "lfs"

    @cached_property
    def private(self) -> Path:
        """The folder of this worktree: journal, lock, and what is being moved."""
        return worktrees.folder_of(self.repository)

    @cached_property
    def git(self) -> Git:
        """Git in the store, writing so that it lasts."""
        return Git(self.bare, directory=self.bare, isolated=True).configured(**_DURABLE)

    @cached_property
    def user(self) -> Git:
        """Git in the user's repository, writing so that it lasts."""
        return self.repository.git.configured(**_DURABLE)

    def state_ref(self, number: int) -> str:
        """Each worktree counts for itself: its journal alone knows what its states are for."""
        return f"{self.refs_of(self.private)}{number}"

    def refs_of(self, private: Path) -> str:
        """What the refs of one worktree's states begin with."""
        return f"refs/states/{private.relative_to(self.base).as_posix()}/"

    def numbers(self) -> set[int]:
        """The states of this worktree that are held."""
        prefix = self.refs_of(self.private)
        names = (ref.removeprefix(prefix) for ref in self._refs(prefix))
        return {int(name) for name in names if name.isdecimal()}

    def merge_packs(self) -> None:
        """Keep it quick after thousands of operations."""
        store_packs.merge(self.git, self.packs)

    def all_states(self) -> set[str]:
        """The refs of every worktree's states."""
        return set(self._refs("refs/states/"))

    @property
    def _packed_refs(self) -> Path:
        return self.bare / "packed-refs"

    def _refs(self, prefix: str) -> list[str]:
        """Refs of the store. Nothing packs them, and git would open each of their files."""
        if self._packed_refs.exists():  # unless somebody told it to
            return self.git.run("for-each-ref", "--format=%(refname)", prefix).decode().split()
        return [ref for ref in self._ref_files(prefix) if not _is_litter(ref)]

    def _ref_files(self, prefix: str) -> Iterator[str]:
        """From the store's folder."""
        for parent, _, names in os.walk(self.bare / prefix):
            folder = Path(parent).relative_to(self.bare).as_posix()
            yield from (f"{folder}/{name}" for name in names)

    def _put_ref(self, ref: str, commit: str) -> None:
        """Make a new ref last, all of it or none."""
        place = self.bare / ref
        for folder in reversed([one for one in place.parents if not one.exists()]):
            folder.mkdir(mode=0o700)
            atomic.sync_folder(folder.parent)
        atomic.replace(place, [f"{commit}\n".encode()])

    def privates(self) -> list[Path]:
        """The private folders of all worktrees."""
        return [self.base / "main", *sorted((self.base / "worktrees").glob("*"))]

    def orphans(self) -> list[Path]:
        """The private folders of worktrees that are gone."""
        linked = (self.repository.common_dir / "worktrees").glob("*")
        living = {worktrees.name_of(git_dir) for git_dir in linked}
        return [one for one in self.privates()[1:] if one.name not in living]

    def keep_state(self, scratch: Scratch, commit: str, number: int, known: Iterable[str]) -> None:
        """Take a state's commit over from a scratch directory, as one pack and one ref.

        ``known`` are trees whose objects are kept already.
        """
        git = scratch.git.configured(**_DURABLE)
        store_packs.write(git, self.packs, [commit, *(f"^{tree}" for tree in known)])
        self._put_ref(self.state_ref(number), commit)

    def keep_commits(self, commits: Iterable[str]) -> None:
        """Keep commits that the user made, whatever becomes of branches."""
        wanted = [one for one in set(commits) if not self.is_snapshot(one)]
        # A symbolic ref in its place would have another ref moved.
        lines = "".join(f"option no-deref\nupdate {KEEP}{one} {one}\n" for one in wanted)
        if lines:
            self.user.run("update-ref", "--stdin", stdin=lines.encode())

    def is_snapshot(self, commit: str) -> bool:
        """True for the commit of a snapshot that was loaded: it comes back from here."""
        ref = f"refs/snapshots/{commit}"
        if self._packed_refs.exists():
            return ref in self._refs("refs/snapshots/")
        return (self.bare / ref).exists()

    def take_snapshot(self, commit: str, objects: Path) -> None:
        """Bring a snapshot's commit, with all it needs, into the store and the user's objects."""
        git = replace(self.git, objects=(objects,))
        new, edge = self._new_commits(git, commit)
        self.keep_commits(edge if new else {commit})
        if not new:
            return
        name = store_packs.write(git, self.packs, [commit, *(f"^{one}" for one in sorted(edge))])
        self._put_ref(f"refs/snapshots/{commit}", commit)
        store_packs.lend(name, self.packs, self._their_packs)

    def _tips(self) -> list[str]:
        listed = self.repository.git.run("for-each-ref", "--format=%(objectname) %(*objectname)")
        head = self.repository.commit()
        return sorted({*listed.decode().split(), *([head] if head else [])})

    def _new_commits(self, git: Git, commit: str) -> tuple[bool, set[str]]:
        """Whether the user lacks ``commit``, and which of the user's commits it grows from."""
        # No ``--not``: before 2.42 git takes no option from there, and would seem to find holes.
        asked = "".join(f"{one}\n" for one in (commit, *(f"^{tip}" for tip in self._tips())))
        try:
            answer = git.run("rev-list", "--boundary", "--stdin", stdin=asked.encode())
        except GitError:
            return True, set()  # the user's own history has holes: take everything
        found = answer.decode().split()
        edge = {one[1:] for one in found if one.startswith("-")}
        return len(found) > len(edge), edge

    def lend_snapshot(self, commit: str) -> None:
        """Give the user's repository a snapshot's objects again, should ``gc`` have taken them."""
        if not self.is_snapshot(commit):
            return
        walk = ("rev-list", "--objects", "--quiet", commit, "--not", "--all")
        if not self.repository.git.succeeds(*walk):
            revisions = [commit, *(f"^{one}" for one in self.kept())]
            store_packs.write(self.git, self._their_packs, revisions)

    def kept(self) -> list[str]:
        """The user's commits that our refs keep alive."""
        listed = self.repository.git.run("for-each-ref", "--format=%(objectname)", KEEP)
        return listed.decode().split()

    def lend_objects(self, ids: Iterable[str]) -> None:
        """Give the user's repository single objects again, should ``gc`` have taken them."""
        asked = "".join(f"{one}\n" for one in ids).encode()
        if not asked:
            return
        answer = self.repository.git.run("cat-file", "--batch-check", stdin=asked)
        missing = re.findall(r"^(\w+) missing$", answer.decode(), re.MULTILINE)
        if missing:
            store_packs.write_objects(self.git, self._their_packs, missing)

    def size(self) -> int:
        """Bytes that the store's packs take."""
        return sum(one.stat().st_size for one in self.packs.iterdir())

    def drop_states(self, refs: Iterable[str], needed: Iterable[str]) -> None:
        """Forget states (by ref), and the snapshots that are none of the ``needed`` commits."""
        wanted = set(needed)
        snapshots = set(self._refs("refs/snapshots/"))
        gone = {*refs, *(snapshots - {f"refs/snapshots/{one}" for one in wanted})}
        pack = self._pack_without(gone)  # the first, since the disk may be full
        lines = "".join(f"delete {ref}\n" for ref in sorted(gone))
        self.git.run("update-ref", "--stdin", stdin=lines.encode())
        store_packs.drop_others(self.packs, pack)
        self._unkeep(wanted)

    def _unkeep(self, needed: Iterable[str]) -> None:
        """Drop our refs on commits of the user's that no state grows from any more."""
        git = replace(self.user, objects=(self.bare / "objects",))
        others = [f"--no-merged={commit}" for commit in sorted(needed)]
        keep_refs.drop(self.repository, self.private, keep_refs.kept(git, *others))

    def _pack_without(self, gone: Container[str]) -> str:
        """One pack of all that is needed but for the ``gone`` refs; returns its name.

        Not ``git repack``: it leaves out what the user's object store happens to hold, and
        that may be gone tomorrow. Only what our refs keep alive there can be left out.
        """
        listed = self.git.run("for-each-ref", "--format=%(objectname) %(refname)").decode()
        rows = (line.split(" ") for line in listed.splitlines())
        revisions = [oid for oid, ref in rows if ref not in gone]
        revisions += (f"^{one}" for one in self.kept())
        return store_packs.write(self.git, self.packs, revisions)

    def remove(self) -> None:
        """Take everything of ours out of the repository. Our lock is held, and no lock of git's.

        By one rename: what is killed has removed nothing yet, or all.
        """
        keep_refs.drop(self.repository, self.private, keep_refs.kept(self.repository.git))
        keep_refs.remove_folders(self.repository.common_dir)
        worktrees.unmark_all(self.repository)
        self.finish_removal()
        if os.name == "nt":  # nothing that holds an open file (our lock) can be renamed there
            shutil.rmtree(self.base, ignore_errors=True)
            return
        self.base.rename(self.removed)
        self.finish_removal()

    def finish_removal(self) -> None:
        """What is left of a removal that was killed."""
        atomic.remove_tree(self.removed)


def _is_litter(ref: str) -> bool:
    """True for what a command that was killed left beside a ref, on whatever machine."""
    return "/." in ref or ref.endswith(".lock")  # no ref is called so
