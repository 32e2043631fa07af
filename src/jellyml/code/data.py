"""Data among the files of a snapshot, known by their names: it goes along, and that is said.

What holds arrays in over 1 MB is left out as a checkpoint is (``guard``), and so is what is over
the limits. A table of patients is neither.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from jellyml.code.guard import Untracked

_LARGE = 1_000_000  # bytes; smaller tables are settings, samples and results
_MOST = 1000
_NAME = re.compile(
    rb"\.(?:[ct]sv|jsonl|ndjson|parquet|feather|arrow|avro|orc|np[yz]|h(?:df)?5|mat|rds|rdata|dta|sav"
    rb"|db|sqlite3?|duckdb|[ml]db|tfrecords?|xlsx?|ods|zip|tar|t?gz|bz2|xz|zst|7z|rar"
    rb"|jpe?g|png|tiff?|webp|dcm|nii|wav|flac|mp[34]|ogg|avi|mov|mkv|las|laz|fastq|bam|vcf)\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Data:
    """A file that looks like data; ``size`` in bytes."""

    path: str
    size: int


def looks_like_data(path: bytes, size: int) -> bool:
    return size >= _LARGE and _NAME.search(path) is not None


def data_among(files: Iterable[Untracked]) -> tuple[Data, ...]:
    """The largest first; 1,000 at most."""
    found = [file for file in files if looks_like_data(file.path, file.size)]
    found.sort(key=lambda file: (-file.size, file.path))
    return tuple(Data(os.fsdecode(file.path), file.size) for file in found[:_MOST])
