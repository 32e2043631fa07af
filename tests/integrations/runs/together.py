"""What every run of several processes needs; it is started by ``test_processes``."""

import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

from jellyml.capture.capture import capture

PLACE = Path("..").resolve()  # beside the repository


def count_captures() -> None:
    """A letter in the file ``captures`` for each process that captured."""

    def counted(*args: Any) -> Any:
        with (PLACE / "captures").open("a") as file:
            file.write("1")
        return capture(*args)

    mock.patch("jellyml.capture.create.capture", counted).start()


def leave_together() -> None:
    """The last act of each: all was seen to hold.

    gloo aborts a process that still listens to one that has gone, and on a busy machine one whose
    own threads have not ended when Python does.
    """
    from torch import distributed

    rank, count = distributed.get_rank(), distributed.get_world_size()
    (PLACE / f"{rank}.left").touch()
    until = time.monotonic() + 60
    while len(list(PLACE.glob("*.left"))) < count and time.monotonic() < until:
        time.sleep(0.01)
    os._exit(0)
