"""A repository where there is none, with an ignore file for machine-learning projects."""

from contextlib import suppress
from pathlib import Path

from jellyml.code.repository import Git
from jellyml.code.work_tree import in_git_directory
from jellyml.errors import NotARepository

IGNORE = """\
# Written by JellyML when it made this repository. Yours to change.
__pycache__/
*.py[cod]
.ipynb_checkpoints/
.venv/
venv/
.env
*.egg-info/
build/
dist/

# data and results, which are large or can be made again
/data/
/datasets/
/runs/
/wandb/
/mlruns/
/lightning_logs/
/outputs/
*.log

# checkpoints: the code lives in them, not they in the code
*.ckpt
*.pt
*.pth
*.safetensors
*.gguf
*.onnx
*.h5
*.keras
*.npz
"""


def make_repository(folder: Path) -> None:
    """``git init``, and a ``.gitignore`` unless there is one. Never over one that is there.

    Raises NotARepository, GitError, OSError.
    """
    if in_git_directory(folder):
        raise NotARepository(
            f"{folder} has a .git, or lies in a git directory, but is not a git repository"
            " with a working tree.",
            "mend or remove it; none is made over it.",
        )
    # An empty template: the user's own may bring hooks and files along.
    Git(folder).run("init", "-q", "--template=")
    with suppress(FileExistsError), (folder / ".gitignore").open("x", encoding="utf-8") as file:
        file.write(IGNORE)
