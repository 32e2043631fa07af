"""The table of file formats: first bytes, suffixes and file names.

Every list of magic numbers, suffixes or file names in JellyML is a selection from ``TABLE``; a new
format or suffix is added only here. If a reader of the table needs fewer rows than another, a
flag of ``Use`` tells which, and why. The module imports no format module, and compiles no
regular expression when it is imported: ``create_snapshot`` needs it at once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto


class Use(Flag):
    """The decisions that the suffix of a file makes.

    A folder search reads files with a suffix of the table before others, except NOT_SEARCHED.
    """

    NONE = 0
    # The arrays of a folder are read from its files of one such suffix, the first of the table that
    # it has. Such a file makes a folder a checkpoint for jellyml diff. Formats that
    # tensors.readers cannot read do not have it.
    SHARD = auto()
    # transformers' save_pretrained writes these.
    TRANSFORMERS = auto()
    # A remote file of this name is read from its beginning, which locates its parts.
    # Of other files the end is read first.
    HEAD_FIRST = auto()
    # It is in the .gitignore of a repository that JellyML creates. Suffixes that are as common for
    # data or programs (.bin, .npy, .pkl) are not.
    IGNORED = auto()
    # The recorder fills such a file at any size, although its format also holds data.
    ALWAYS_A_MODEL = auto()
    # Large files of this name in a snapshot are reported as data.
    DATA = auto()
    # A file with this suffix makes its folder one checkpoint, which gets a sidecar.
    WHOLE_FOLDER = auto()
    # Not weights: metadata, sidecars, compressed data.
    NOT_SEARCHED = auto()


@dataclass(frozen=True, slots=True)
class Signature:
    """A row of the table: one format, of a file or of a folder."""

    #: The name that ``jellyml show`` prints; for a file format also ``name`` of its module.
    name: str
    #: A file of the format has one of these at one of the ``offsets``. Empty: only its structure
    #: identifies it. If other files begin the same, ``recognises`` of the module checks more.
    first_bytes: tuple[bytes, ...] = ()
    offsets: Sequence[int] = (0,)
    #: A regular expression, in DOTALL mode, that the first bytes of a file of arrays match. An
    #: untracked file over 1 MB that does stays out of snapshots. It is stricter than
    #: ``first_bytes`` where those are short: code and data must not be left out by chance.
    arrays: bytes = b""
    #: Names of members in a zip archive of the format. A file with all of them is of the format.
    members: frozenset[bytes] = frozenset()
    #: A regular expression for one such name, after the archive's own folder.
    array_member: bytes = b""
    suffixes: Mapping[str, Use] = field(default_factory=dict)
    #: A regular expression for other names of weights, case-insensitive.
    file_names: str = ""
    #: Exact names; one of them makes its folder one checkpoint, as WHOLE_FOLDER does.
    folder_marks: tuple[str, ...] = ()
    #: A regular expression for the state that a trainer saves beside weights. The recorder does
    #: not fill these: they are never loaded alone.
    companions: str = ""
    #: pickle, NumPy and HDF5 are as often data as weights: the recorder fills a small file only if
    #: its name is that of a model.
    also_data: bool = False
    #: A program that compresses any file.
    compression: bool = False

    @property
    def reach(self) -> int:
        """The number of bytes that ``matches`` needs."""
        return max(self.offsets) + max(map(len, self.first_bytes), default=0)

    def matches(self, head: bytes) -> bool:
        """Return True if ``head`` has the first bytes of the format."""
        return any(head.startswith(self.first_bytes, offset) for offset in self.offsets)


ZIP = b"PK\x03\x04"
# Begins every pickle of protocol 2 and above. Older pickles have no fixed first byte.
PICKLE_PROTOCOL = b"\x80"

SAFETENSORS = Signature(
    "safetensors",
    first_bytes=(b"{",),  # after the length of the header
    offsets=(8,),
    suffixes={".safetensors": Use.SHARD | Use.TRANSFORMERS | Use.HEAD_FIRST | Use.IGNORED},
)
TORCH_ZIP = Signature(
    "torch zip",
    first_bytes=(ZIP,),
    array_member=rb"/data\.pkl|/archive_format",  # TorchScript and torch.export too
    suffixes={
        ".bin": Use.SHARD | Use.TRANSFORMERS,
        ".pt": Use.SHARD | Use.IGNORED,
        ".pth": Use.SHARD | Use.IGNORED,
        ".ckpt": Use.SHARD | Use.IGNORED,
        ".pt2": Use.NONE,
    },
)
TORCH_LEGACY = Signature(
    "torch before 1.6",
    # The first pickle is torch's magic number. Before it come the protocol, and a frame's length.
    first_bytes=(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",),
    offsets=range(1, 12),
)
GGUF = Signature(
    "GGUF",
    first_bytes=(b"GGUF",),
    # With a version in either byte order; llama.cpp's older formats.
    arrays=rb"GGUF(?:[\x01-\x0f]\0\0\0|\0\0\0[\x01-\x0f])|(?:lmgg|tjgg)..\0\0",
    suffixes={".gguf": Use.SHARD | Use.HEAD_FIRST | Use.IGNORED},
)
NPZ = Signature(
    "NumPy archive",
    first_bytes=(ZIP,),
    # By the first member: in NumPy's archives all are arrays; a wheel or a data set may hold some.
    arrays=rb"PK\x03\x04.{26}[^\0]{1,255}?\.npy(?!\.)",
    suffixes={".npz": Use.SHARD | Use.IGNORED | Use.DATA},
    also_data=True,
)
NPY = Signature(
    "NumPy array",
    first_bytes=(b"\x93NUMPY",),
    arrays=rb"\x93NUMPY",
    suffixes={".npy": Use.DATA},
    also_data=True,
)
ONNX = Signature(
    "ONNX",
    first_bytes=(b"\x08",),  # the field of the version
    suffixes={".onnx": Use.HEAD_FIRST | Use.IGNORED},
)
HDF5 = Signature(
    "HDF5",
    first_bytes=(b"\x89HDF\r\n\x1a\n",),
    arrays=rb"\x89HDF\r\n\x1a\n",
    suffixes={".h5": Use.IGNORED | Use.ALWAYS_A_MODEL | Use.DATA, ".hdf5": Use.DATA},
    also_data=True,
)
KERAS = Signature(
    "Keras",
    first_bytes=(ZIP,),
    members=frozenset({b"metadata.json", b"config.json"}),
    array_member=rb"\.weights\.h5",
    suffixes={".keras": Use.IGNORED | Use.ALWAYS_A_MODEL},
)
SKOPS = Signature(
    "skops",
    first_bytes=(ZIP,),
    members=frozenset({b"schema.json"}),
    suffixes={".skops": Use.NONE},
)
PICKLE = Signature(
    "pickle",
    first_bytes=tuple(PICKLE_PROTOCOL + bytes([protocol]) for protocol in range(2, 6)),
    # scikit-learn and joblib save models as pickles, and torch did before 1.6. Code is not.
    arrays=rb"\x80(?:[\x02\x03][(\]c}X\x8a]|[\x04\x05]\x95)",
    suffixes={".pkl": Use.NONE, ".pickle": Use.NONE, ".joblib": Use.ALWAYS_A_MODEL},
    also_data=True,
)
TFLITE = Signature(
    "TensorFlow Lite",
    first_bytes=(b"TFL3",),
    offsets=(4,),
    arrays=rb"..\0\0TFL3",
    suffixes={".tflite": Use.NONE},
)
FLAX = Signature(
    "Flax msgpack",
    # A map whose first key is a string, closely followed by an array.
    arrays=rb"(?:[\x81-\x8f]|\xde..)[\xa1-\xbf].{1,4096}?(?:\xc7.|\xc8..|\xc9....)\x01\x93[\x90-\x9f]",
    suffixes={".msgpack": Use.NONE},
    file_names=r"(?:check|model).*",  # checkpoint_100; and shards in other formats
)
# A snapshot without its header: the bundle that create_snapshot writes to a file.
BUNDLE = Signature(
    "git bundle",
    first_bytes=(b"# v2 git bundle\n", b"# v3 git bundle\n"),
    suffixes={".bundle": Use.HEAD_FIRST | Use.NOT_SEARCHED},
)
SNAPSHOT_BUNDLE = rb"# v[23] git bundle\n(?:@[^\n]*\n)*[0-9a-f]{40,64} HEAD\n\nPACK"

INDEX_SUFFIX = ".index.json"  # of the file that maps each tensor to its shard

_FOLDERS = (
    Signature(
        "Hugging Face folder",
        suffixes={
            INDEX_SUFFIX: Use.TRANSFORMERS | Use.NOT_SEARCHED,
            # Not every index: other programs write such files into folders of data.
            ".safetensors.index.json": Use.WHOLE_FOLDER | Use.NOT_SEARCHED,
            ".bin.index.json": Use.WHOLE_FOLDER | Use.NOT_SEARCHED,
            ".json": Use.HEAD_FIRST | Use.NOT_SEARCHED,
        },
        folder_marks=("trainer_state.json",),
        companions=(
            r"training_args\.bin|(?:scheduler|scaler|optimizer|sampler)(?:_\d+)?\.(?:pt|bin)"
            r"|rng_state(?:_\d+)?\.pth"
        ),
    ),
    Signature(
        "accelerate folder",
        file_names=r"custom_checkpoint_\d+.*",
        folder_marks=("random_states_0.pkl",),
        companions=r"random_states_\d+\.pkl",
    ),
    Signature("torch distributed checkpoint", suffixes={".distcp": Use.WHOLE_FOLDER}),
    # One file for each process.
    Signature("DeepSpeed folder", suffixes={"_optim_states.pt": Use.WHOLE_FOLDER}),
    Signature("TensorFlow checkpoint", file_names=r".*\.data-\d+-of-\d+"),
    Signature("TensorFlow SavedModel", folder_marks=("saved_model.pb",)),
    Signature("Orbax folder", folder_marks=("_CHECKPOINT_METADATA",)),
)
_COMPRESSED = (
    Signature("gzip", (b"\x1f\x8b",), compression=True),
    Signature("bzip2", (b"BZh",), compression=True),
    Signature("xz", (b"\xfd7zXZ\0",), compression=True),
    Signature("lzma", (b"]\0\0",), compression=True),
    Signature("lz4", (b"\x04\x22\x4d\x18",), compression=True),
    Signature("zstd", (b"\x28\xb5\x2f\xfd",), compression=True),
    Signature("zlib", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), compression=True),
)

#: The order chooses a folder's weights; ``formats.registry`` has another order.
TABLE = (
    SAFETENSORS,
    TORCH_ZIP,
    TORCH_LEGACY,
    GGUF,
    NPZ,
    NPY,
    ONNX,
    HDF5,
    KERAS,
    SKOPS,
    PICKLE,
    TFLITE,
    FLAX,
    BUNDLE,
    *_FOLDERS,
    *_COMPRESSED,
)

_MARKS = frozenset(name for row in TABLE for name in row.folder_marks)
_ALSO_DATA = frozenset(row.name for row in TABLE if row.also_data)


def suffixes(use: Use) -> tuple[str, ...]:
    """Return the suffixes with this flag, in lower case, in the order of the table."""
    return tuple(suffix for row in TABLE for suffix, uses in row.suffixes.items() if use in uses)


_SEARCHED = tuple(
    suffix for row in TABLE for suffix, uses in row.suffixes.items() if Use.NOT_SEARCHED not in uses
)
_WHOLE_FOLDER = suffixes(Use.WHOLE_FOLDER)


def is_named_as_weights(name: str) -> bool:
    """Return True if a folder search reads a file of this name before others."""
    if name.lower().endswith(_SEARCHED):
        return True
    names = "|".join(row.file_names for row in TABLE if row.file_names)
    return bool(re.fullmatch(names, name, re.IGNORECASE | re.DOTALL))


def is_folder_mark(name: str) -> bool:
    """Return True if a file of this name makes its folder one checkpoint."""
    return name in _MARKS or name.endswith(_WHOLE_FOLDER)


def is_companion(name: str) -> bool:
    """Return True for a file that a trainer saves beside weights and that is never loaded alone."""
    return bool(re.fullmatch("|".join(row.companions for row in TABLE if row.companions), name))


def is_also_data(name: str) -> bool:
    """Return True if the format of this name holds data as often as weights."""
    return name in _ALSO_DATA


def compression_of(head: bytes) -> str | None:
    """Return the program that compressed a file with this beginning, or None."""
    return next((row.name for row in _COMPRESSED if row.matches(head)), None)


def begins_as_arrays(head: bytes) -> bool:
    """Return True if a file that begins with ``head`` holds arrays.

    The first bytes of safetensors and ONNX are too common: see ``working_tree.exclude``.
    """
    return bool(re.match(b"(?s)" + b"|".join(row.arrays for row in TABLE if row.arrays), head))


def names_arrays(data: bytes) -> bool:
    """Return True if a zip archive holds weights, by the headers of its members.

    ``data`` is the beginning and the end of the archive.
    """
    members = b"|".join(row.array_member for row in TABLE if row.array_member)
    header = rb"(?s)PK(?:\x03\x04.{26}|\x01\x02.{42})[^\0]{0,255}?"
    return bool(re.search(header + b"(?:" + members + rb")(?!\.)", data))


def is_snapshot_bundle(head: bytes) -> bool:
    """Return True if a file with this beginning is a bundle of ``create_snapshot``."""
    return bool(re.match(SNAPSHOT_BUNDLE, head))
