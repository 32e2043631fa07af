"""``Trainer(plugins=[JellyMLLightningPlugin()])``: the code in every Lightning checkpoint.

For ``lightning`` and for ``pytorch_lightning``: two packages whose classes do not know each other.
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
# Only Lightning's own checkpoints have it. A bare state_dict, such as the one that ``ddp_spawn``
# sends home through the plug-in, is loaded strictly and bears no further key.
_MARK = "pytorch-lightning_version"


class JellyMLLightningPlugin:
    """Adds the code to what ``checkpoint_io`` saves, by default the strategy's own way to save.

    It captures when constructed, on rank 0 alone: construct it where training starts, beside the
    Trainer. Options are those of ``create_snapshot``. It goes around another CheckpointIO or into
    one, AsyncCheckpointIO for example. Sharded checkpoints of FSDP and ModelParallel are not saved
    by plug-ins: use ``JellyMLCallback`` there.
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
        """What saves; Lightning sets it, and may set it again."""
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
        """Lightning's word for it, asked by what wraps this."""
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
        self._register()  # a spawned process does not know yet

    def _known_as(self) -> "type[JellyMLLightningPlugin]":
        """What isinstance asks for; the other of the two packages may be imported by now."""
        self._register()
        return type(self)

    __class__ = property(_known_as)

    def _register(self) -> None:
        """To Lightning this is a wrapper: it then hands over the strategy's own CheckpointIO."""
        for package in _packages():
            wrapper = import_module(f"{package}.plugins.io.wrapper")._WrappingCheckpointIO
            wrapper.register(type(self))


class JellyMLCallback:
    """``Trainer(callbacks=[JellyMLCallback()])``, where the checkpoint plug-in is taken.

    It captures when ``fit`` begins, on rank 0 alone. Sharded checkpoints get the code too; those
    of ``save_weights_only=True`` do not, as Lightning asks no callback about them.
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

    _written: "type[JellyMLCallback]"  # as its author wrote it, without Lightning's Callback
    _packages: tuple[str, ...]


def _new(written: Any, packages: tuple[str, ...]) -> JellyMLCallback:
    new: JellyMLCallback = object.__new__(_with_base(written, packages))
    return new


@cache
def _with_base(written: Any, packages: tuple[str, ...]) -> Any:
    """Lightning wants its own Callback inherited; which one is known when one is constructed."""
    bases = [import_module(package).Callback for package in packages]
    names = {"_written": written, "_packages": packages, "__module__": written.__module__}
    return type(written.__name__, (written, *bases), names)


def _add(code: RunCode, checkpoint: MutableMapping[str, Any]) -> None:
    """What somebody has put there already stays."""
    for key, tensor in code.snapshot.items():
        checkpoint.setdefault(key, tensor)


def _packages() -> tuple[str, ...]:
    """Those that are imported, as importing takes seconds; else those that are installed."""
    imported = tuple(package for package in _PACKAGES if package in sys.modules)
    found = imported or tuple(_importable())
    if not found:
        raise missing("lightning", "lightning or pytorch_lightning")
    return found


def _importable() -> Iterator[str]:
    for package in _PACKAGES:
        try:
            import_module(package)
        except ImportError:
            continue
        yield package


def _rank() -> int:
    """What the launcher has said of this process; 0 where there is none."""
    zero = import_module(f"{_packages()[0]}.utilities.rank_zero").rank_zero_only
    return int(getattr(zero, "rank", None) or 0)
