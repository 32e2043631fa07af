"""``Trainer(plugins=[JellyMLLightningPlugin()])``: the code in every Lightning checkpoint.

It supports ``lightning`` and ``pytorch_lightning``, two packages with unrelated classes.
"""

import sys
from collections.abc import Callable, Iterator, MutableMapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jellyml.integrations.run import RunCode, missing

if TYPE_CHECKING:
    import os

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")
# Only Lightning's own checkpoints have this key. A bare state_dict, such as the one that
# ``ddp_spawn`` returns through the plug-in, is loaded strictly and must not get another key.
_MARK = "pytorch-lightning_version"


class JellyMLLightningPlugin:
    """Add the code to what ``checkpoint_io`` saves, by default the strategy's CheckpointIO.

    It captures when constructed, only on rank 0: construct it where training starts, beside the
    Trainer. Options are those of ``create_snapshot``. It can wrap another CheckpointIO, or be
    wrapped, by AsyncCheckpointIO for example. Plug-ins do not save the sharded checkpoints of FSDP
    and ModelParallel: use ``JellyMLCallback`` for these.
    """

    def __init__(
        self,
        git_repo_path: "str | os.PathLike[str] | None" = None,
        *,
        checkpoint_io: Any = None,
        **options: Any,
    ) -> None:
        self.code = RunCode(git_repo_path, **options)
        self._inner = checkpoint_io
        self._register()
        if _rank() == 0:
            self.code.take()

    @property
    def checkpoint_io(self) -> Any:
        """The CheckpointIO that saves. Lightning sets it, and may set it again."""
        if self._inner is None:
            self._inner = import_module(f"{_packages()[0]}.plugins.io").TorchCheckpointIO()
        return self._inner

    @checkpoint_io.setter
    def checkpoint_io(self, base: Any) -> None:
        if self._inner is None:
            self._inner = base
        elif not self._base_checkpoint_io_configured:
            self._inner.checkpoint_io = base

    @property
    def _base_checkpoint_io_configured(self) -> bool:
        """Whether the base is set. Lightning's own name; a wrapper of this reads it."""
        return self._inner is not None and getattr(
            self._inner, "_base_checkpoint_io_configured", True
        )

    def save_checkpoint(
        self, checkpoint: MutableMapping[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        if _MARK in checkpoint:
            checkpoint = dict(checkpoint)
            _add(self.code, checkpoint)
        self.checkpoint_io.save_checkpoint(checkpoint, path, storage_options=storage_options)

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        return self.checkpoint_io.load_checkpoint(*args, **kwargs)

    def remove_checkpoint(self, path: Any) -> None:
        self.checkpoint_io.remove_checkpoint(path)

    def teardown(self) -> None:
        if self._inner is not None:
            self._inner.teardown()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._register()  # a spawned process has not registered it yet

    def _known_as(self) -> "type[JellyMLLightningPlugin]":
        """Return the class, for isinstance; register with a package that was imported since."""
        self._register()
        return type(self)

    __class__ = property(_known_as)

    def _register(self) -> None:
        """Register as a wrapper: Lightning then passes the strategy's own CheckpointIO."""
        for package in _packages():
            wrapper = import_module(f"{package}.plugins.io.wrapper")._WrappingCheckpointIO
            wrapper.register(type(self))


class JellyMLCallback:
    """Add the code by ``Trainer(callbacks=[JellyMLCallback()])``, if a plug-in cannot be used.

    It captures when ``fit`` begins, only on rank 0. Sharded checkpoints get the code too; those of
    ``save_weights_only=True`` do not, since Lightning calls no callback for them.
    Options are those of ``create_snapshot``.
    """

    def __new__(cls, *_: Any, **__: Any) -> "JellyMLCallback":
        return _new(cls, _packages())

    def __init__(self, git_repo_path: "str | os.PathLike[str] | None" = None, **options: Any):
        super().__init__()
        self.code = RunCode(git_repo_path, **options)

    def setup(self, trainer: Any, pl_module: object, stage: str) -> None:
        if stage == "fit" and trainer.is_global_zero:
            self.code.take()

    def on_save_checkpoint(
        self, trainer: Any, pl_module: object, checkpoint: MutableMapping[str, Any]
    ) -> None:
        if trainer.is_global_zero:
            _add(self.code, checkpoint)

    def __reduce__(self) -> "tuple[Callable[..., JellyMLCallback], tuple[Any, ...], Any]":
        return _new, (type(self)._written, type(self)._packages), self.__dict__

    _written: "type[JellyMLCallback]"  # the original class, without Lightning's Callback
    _packages: tuple[str, ...]


def _new(written: Any, packages: tuple[str, ...]) -> JellyMLCallback:
    new: JellyMLCallback = object.__new__(_with_base(written, packages))
    return new


@cache
def _with_base(written: Any, packages: tuple[str, ...]) -> Any:
    """Return a subclass of the Callbacks of the packages, which are known at construction."""
    bases = [import_module(package).Callback for package in packages]
    names = {"_written": written, "_packages": packages, "__module__": written.__module__}
    return type(written.__name__, (written, *bases), names)


def _add(code: RunCode, checkpoint: MutableMapping[str, Any]) -> None:
    """Add the snapshot to a checkpoint; existing keys stay."""
    for key, tensor in code.snapshot.items():
        checkpoint.setdefault(key, tensor)


def _packages() -> tuple[str, ...]:
    """Return the imported packages, since importing takes seconds; else the installed ones."""
    imported = tuple(package for package in _PACKAGES if package in sys.modules)
    packages = imported or tuple(_importable())
    if not packages:
        raise missing("lightning", "lightning or pytorch_lightning")
    return packages


def _importable() -> Iterator[str]:
    for package in _PACKAGES:
        try:
            import_module(package)
        except ImportError:
            continue
        yield package


def _rank() -> int:
    """Return the rank that the launcher gave this process; 0 without a launcher."""
    zero = import_module(f"{_packages()[0]}.utilities.rank_zero").rank_zero_only
    return int(getattr(zero, "rank", None) or 0)
