"""The corpus of ``hostile``: what must be refused is, what must load does, and nothing else happens."""

import json
import os
import random
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hostile
import pytest
from hostile import BOMBS, CASES, Case

import jellyml
from jellyml.code import bundle
from jellyml.code.bundle import quarantined
from jellyml.errors import BadSnapshot

SLOWEST = 20  # seconds; a limit of ten of work, on a busy machine
MEMORY = 256 << 20
HOOKS = ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc", "fsmonitor")


def cases(chosen: dict[str, Case]) -> list["pytest.ParameterSet"]: ...
