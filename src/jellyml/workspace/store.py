"""The private object store: the states that a workspace can return to.

It is in the repository's common git directory, and reads the user's objects through alternates.
Refs in the user's repository keep the user's commits alive. Everything else (untracked files,
snapshots, states) has its objects and refs only in the store: no push publishes them, and the
user's ``gc`` does not see them.
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

# Git before 2.36 knows the second option only; a newer git uses the first.
_DURABLE = {"core__fsync": "all", "core__fsyncObjectFiles": "true"}


_USERS_OBJECTS = b"../../../objects\n"  # relative to the store's objects


@dataclass(frozen=True)
class Store:
    """The store of a repository, and the private folder of one of its worktrees."""

    repository: Repository

    @classmethod
    def open(cls, repository: Repository) -> "Store":
        """Open the store, and create it if missing. Raises OSError."""
        store = cls(repository)
        worktrees.mark(repository)
        for folder in (store.base, store.private.parent, store.private):
            folder.mkdir(
                exist_ok=True, mode=0o700
            )  # parents=True would ignore the mode for parents
        if not store._alternates.exists():
            make_bare(store.bare, repository.object_format)
            for name, _, _ in os.walk(store.bare):
                Path(name).chmod(0o700)
        store._make_plain()
        return store

    def _make_plain(self) -> None:
        """Write the store's configuration and alternates: both may have come with the folder.

        Their content is always the same. Raises UnsafeToContinue for a ``commondir`` file: with
        one, git would treat the store as part of another repository.
        """
        commondir = self.bare / "commondir"
        if os.path.lexists(commondir):
            raise UnsafeToContinue(
                f"{commondir} makes the store of JellyML a part of another repository. Nothing was"
                " changed.",
                f"move it away: mv {pasteable(commondir)} {pasteable(commondir)}.old",
            )
        config = bare_config(self.repository.object_format).encode()
        # Relative, so that it survives a move of the repository. Written last: a store with this
        # file is complete.
        for file, text in ((self.bare / "config", config), (self._alternates, _USERS_OBJECTS)):
            if not file.exists() or file.read_bytes() != text:
                atomic.replace(file, [text])

    @property
    def _alternates(self) -> Path:
        return self.bare / "objects" / "info" / "alternates"

    def clear_litter(self) -> None:
        """Delete leftovers of killed commands: scratch folders, git's locks and temporary packs."""
        for folder in (*self.private.glob("jellyml-*"), self.private / "fresh"):
            atomic.remove_tree(folder)
        theirs, own = self.repository.common_dir / "refs", self.repository.git_dir
        half = f"{atomic.BESIDE}*"  # temporary files of killed replacements
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
        """Return JellyML's copy of LFS content that states need."""
        return self.base / "lfs"

    @cached_property
    def private(self) -> Path:
        """Return the folder of this worktree: operation log, lock, and staging folder."""
        return worktrees.folder_of(self.repository)

    @cached_property
    def git(self) -> Git:
        """Return git in the store, with durable writes."""
        return Git(self.bare, directory=self.bare, isolated=True).configured(**_DURABLE)

    @cached_property
    def user(self) -> Git:
        """Return git in the user's repository, with durable writes."""
        return self.repository.git.configured(**_DURABLE)

    def state_ref(self, number: int) -> str:
        """Return the ref of a state. Each worktree has its own numbers, which its log refers to."""
        return f"{self.refs_of(self.private)}{number}"

    def refs_of(self, private: Path) -> str:
        """Return the prefix of the state refs of one worktree."""
        return f"refs/states/{private.relative_to(self.base).as_posix()}/"

    def numbers(self) -> set[int]:
        """Return the numbers of this worktree's states."""
        prefix = self.refs_of(self.private)
        names = (ref.removeprefix(prefix) for ref in self._refs(prefix))
        return {int(name) for name in names if name.isdecimal()}

    def merge_packs(self) -> None:
        """Merge small packs, so that git stays fast after thousands of operations."""
        store_packs.merge(self.git, self.packs)

    def all_states(self) -> set[str]:
        """Return the refs of every worktree's states."""
        return set(self._refs("refs/states/"))

    @property
    def _packed_refs(self) -> Path:
        return self.bare / "packed-refs"

    def _refs(self, prefix: str) -> list[str]:
        """Return refs of the store, by file name: git would open each of them."""
        if self._packed_refs.exists():  # only if the user ran pack-refs
            return self.git.run("for-each-ref", "--format=%(refname)", prefix).decode().split()
        return [ref for ref in self._ref_files(prefix) if not _is_litter(ref)]

    def _ref_files(self, prefix: str) -> Iterator[str]:
        """Yield ref files, relative to the store."""
        for parent, _, names in os.walk(self.bare / prefix):
            folder = Path(parent).relative_to(self.bare).as_posix()
            yield from (f"{folder}/{name}" for name in names)

    def _put_ref(self, ref: str, commit: str) -> None:
        """Create a ref durably and atomically."""
        place = self.bare / ref
        for folder in reversed([one for one in place.parents if not one.exists()]):
            folder.mkdir(mode=0o700)
            atomic.sync_folder(folder.parent)
        atomic.replace(place, [f"{commit}\n".encode()])

    def privates(self) -> list[Path]:
        """Return the private folders of all worktrees."""
        return [self.base / "main", *sorted((self.base / "worktrees").glob("*"))]

    def orphans(self) -> list[Path]:
        """Return the private folders of removed worktrees."""
        linked = (self.repository.common_dir / "worktrees").glob("*")
        living = {worktrees.name_of(git_dir) for git_dir in linked}
        return [one for one in self.privates()[1:] if one.name not in living]

    def keep_state(self, scratch: Scratch, commit: str, number: int, known: Iterable[str]) -> None:
        """Copy a state's commit from a scratch directory, as one pack and one ref.

        ``known`` are trees whose objects are already in the store.
        """
        git = scratch.git.configured(**_DURABLE)
        store_packs.write(git, self.packs, [commit, *(f"^{tree}" for tree in known)])
        self._put_ref(self.state_ref(number), commit)

    def keep_commits(self, commits: Iterable[str]) -> None:
        """Keep the user's commits alive with refs, even if their branches change."""
        wanted = [one for one in set(commits) if not self.is_snapshot(one)]
        # Without it, an update through a symbolic ref would move another ref.
        lines = "".join(f"option no-deref\nupdate {KEEP}{one} {one}\n" for one in wanted)
        if lines:
            self.user.run("update-ref", "--stdin", stdin=lines.encode())

    def is_snapshot(self, commit: str) -> bool:
        """Return whether a commit is a loaded snapshot, whose objects are in the store."""
        ref = f"refs/snapshots/{commit}"
        if self._packed_refs.exists():
            return ref in self._refs("refs/snapshots/")
        return (self.bare / ref).exists()

    def take_snapshot(self, commit: str, objects: Path) -> None:
        """Copy a snapshot's commit and its objects into the store and the user's repository."""
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
        """Return whether the user lacks ``commit``, and the user's commits that it is based on."""
        # No ``--not``: git before 2.42 reads no options from stdin, and would report gaps.
        revisions = "".join(f"{one}\n" for one in (commit, *(f"^{tip}" for tip in self._tips())))
        try:
            answer = git.run("rev-list", "--boundary", "--stdin", stdin=revisions.encode())
        except GitError:
            return True, set()  # the user's history is incomplete: take everything
        listed = answer.decode().split()
        edge = {one[1:] for one in listed if one.startswith("-")}
        return len(listed) > len(edge), edge

    def lend_snapshot(self, commit: str) -> None:
        """Copy a snapshot's objects back to the user's repository, if ``gc`` removed them."""
        if not self.is_snapshot(commit):
            return
        walk = ("rev-list", "--objects", "--quiet", commit, "--not", "--all")
        if not self.repository.git.succeeds(*walk):
            revisions = [commit, *(f"^{one}" for one in self.kept_commits())]
            store_packs.write(self.git, self._their_packs, revisions)

    def kept_commits(self) -> list[str]:
        """Return the user's commits that JellyML's refs keep alive."""
        listed = self.repository.git.run("for-each-ref", "--format=%(objectname)", KEEP)
        return listed.decode().split()

    def lend_objects(self, ids: Iterable[str]) -> None:
        """Copy single objects back to the user's repository, if ``gc`` removed them."""
        names = "".join(f"{one}\n" for one in ids).encode()
        if not names:
            return
        answer = self.repository.git.run("cat-file", "--batch-check", stdin=names)
        missing = re.findall(r"^(\w+) missing$", answer.decode(), re.MULTILINE)
        if missing:
            store_packs.write_objects(self.git, self._their_packs, missing)

    def size(self) -> int:
        """Return the size of the store's packs in bytes."""
        return sum(one.stat().st_size for one in self.packs.iterdir())

    def drop_states(self, refs: Iterable[str], needed: Iterable[str]) -> None:
        """Delete states (by ref), and snapshots that are not among the ``needed`` commits."""
        wanted = set(needed)
        snapshots = set(self._refs("refs/snapshots/"))
        gone = {*refs, *(snapshots - {f"refs/snapshots/{one}" for one in wanted})}
        pack = self._pack_without(gone)  # first, because the disk may be full
        lines = "".join(f"delete {ref}\n" for ref in sorted(gone))
        self.git.run("update-ref", "--stdin", stdin=lines.encode())
        store_packs.drop_others(self.packs, pack)
        self._unkeep(wanted)

    def _unkeep(self, needed: Iterable[str]) -> None:
        """Delete keep refs whose commits no state is based on any more."""
        git = replace(self.user, objects=(self.bare / "objects",))
        others = [f"--no-merged={commit}" for commit in sorted(needed)]
        keep_refs.drop(self.repository, self.private, keep_refs.list_refs(git, *others))

    def _pack_without(self, gone: Container[str]) -> str:
        """Write one pack of everything except the ``gone`` refs; return its name.

        ``git repack`` would omit objects that the user's repository has now but may lose. Only
        objects that keep refs hold alive there may be omitted.
        """
        listed = self.git.run("for-each-ref", "--format=%(objectname) %(refname)").decode()
        rows = (line.split(" ") for line in listed.splitlines())
        revisions = [oid for oid, ref in rows if ref not in gone]
        revisions += (f"^{one}" for one in self.kept_commits())
        return store_packs.write(self.git, self.packs, revisions)

    def remove(self) -> None:
        """Remove all of JellyML's files. The caller holds JellyML's lock, and no git lock.

        The folder is renamed first. So a killed removal has removed nothing, or is finished by the
        next command.
        """
        keep_refs.drop(self.repository, self.private, keep_refs.list_refs(self.repository.git))
        keep_refs.remove_folders(self.repository.common_dir)
        worktrees.unmark_all(self.repository)
        self.finish_removal()
        if os.name == "nt":  # a folder with an open file (the lock) cannot be renamed there
            shutil.rmtree(self.base, ignore_errors=True)
            return
        self.base.rename(self.removed)
        self.finish_removal()

    def finish_removal(self) -> None:
        """Delete the rest of a removal that was killed."""
        atomic.remove_tree(self.removed)


def _is_litter(ref: str) -> bool:
    """Return whether a ref file is a leftover of a killed command, on any machine."""
    return "/." in ref or ref.endswith(".lock")  # valid refs never have such names
