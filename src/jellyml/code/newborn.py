"""A repository where there is none, with an ignore file for machine-learning projects."""

from contextlib import suppress
from pathlib import Path

from jellyml.code.repository import Git
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
    git = Git(folder)
    inside = git.run("rev-parse", "--git-dir", accept=(0, 128))
    if inside or (folder / ".git").is_symlink() or (folder / ".git").exists():
        raise NotARepository(
            f"{folder} has a .git, or lies in a git directory, but is not a git repository"
            " with a working tree.",
            "mend or remove it; none is made over it.",
        )
    # An empty template: the user's own may bring hooks and files along.
    git.run("init", "-q", "--template=")
    with suppress(FileExistsError), (folder / ".gitignore").open("x", encoding="utf-8") as file:
        file.write(IGNORE)
