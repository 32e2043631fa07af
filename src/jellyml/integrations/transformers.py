"""``Trainer(callbacks=[JellyMLCallback()])``: the code in every folder a transformers run saves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jellyml.formats.signatures import Use, suffixes
from jellyml.integrations.run import RunCode, missing

if TYPE_CHECKING:
    import os

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError:
    raise missing("transformers", "transformers") from None


class JellyMLCallback(TrainerCallback):  # type: ignore[misc]
    """Capture when training begins, and write a sidecar into each ``checkpoint-N`` folder.

    ``output_dir`` itself gets one at the end and before a push to the hub, unless it contains the
    weights of an earlier run. After ``trainer.save_model("elsewhere")`` or
    ``model.save_pretrained("elsewhere")``, call ``callback.fill("elsewhere")``.
    Ranks that save nothing do nothing. Options are those of ``create_snapshot``.
    """

    def __init__(self, git_repo_path: "str | os.PathLike[str] | None" = None, **options: Any):
        self.code = RunCode(git_repo_path, **options)
        self._before: dict[str, int] = {}  # the weights of an earlier run, and their times

    def fill(self, folder: "str | os.PathLike[str]") -> None:
        """Put the run's code into a folder or file that was saved by other means."""
        self.code.fill(folder)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if args.should_save:
            self.code.take()
            self._before = _weights(args.output_dir)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # A hyper-parameter search saves each trial below its own folder.
        name = f"checkpoint-{state.global_step}"
        if args.should_save:
            output = Path(args.output_dir)
            for folder in (output / name, *output.glob(f"run-*/{name}")):
                if folder.is_dir():
                    self.code.fill(folder)

    def on_push_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # Earlier weights were overwritten by the pushed ones; the sidecar is pushed with them.
        if args.should_save:
            self.code.fill(args.output_dir)
            folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
            if folder.is_dir():
                self.code.fill(folder)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # The sidecar must not be beside weights that this code did not make.
        now = _weights(args.output_dir)
        if args.should_save and all(self._before.get(name) != when for name, when in now.items()):
            self.code.fill(args.output_dir)


def _weights(folder: str | None) -> dict[str, int]:
    paths = [
        path
        for suffix in suffixes(Use.TRANSFORMERS)
        for path in Path(folder or ".").glob(f"*{suffix}")
    ]
    return {path.name: path.stat().st_mtime_ns for path in paths}
