"""The first bytes of formats that hold arrays, as regular expressions.

They are compiled when they are first used.
"""

# Patterns, compiled when first asked: few untracked files are binary, and it takes milliseconds.
# The first bytes of formats that hold arrays. Pickles are among them: they are how torch (before
# 1.6), scikit-learn and joblib save a model, and nobody keeps code in one.
ARRAYS = (
    rb"(?s)GGUF(?:[\x01-\x0f]\0\0\0|\0\0\0[\x01-\x0f])|(?:lmgg|tjgg)..\0\0"  # llama.cpp
    rb"|\x89HDF\r\n\x1a\n"  # Keras
    rb"|\x93NUMPY"
    rb"|..\0\0TFL3"  # TensorFlow Lite
    rb"|\x80(?:[\x02\x03][(\]c}X\x8a]|[\x04\x05]\x95)"  # pickle, protocols 2 to 5
    # Flax: a msgpack map with a text for its first key, soon after it a first array.
    rb"|(?:[\x81-\x8f]|\xde..)[\xa1-\xbf].{1,4096}?(?:\xc7.|\xc8..|\xc9....)\x01\x93[\x90-\x9f]"
)
# Names in a zip, from a member's own header or the archive's directory. numpy's are all arrays,
# so that the first tells; a wheel or a data set may hold arrays too.
ZIP = b"PK\x03\x04"
NUMPY_ZIP = rb"(?s)PK\x03\x04.{26}[^\0]{1,255}?\.npy(?!\.)"
WEIGHTS_ZIP = (  # torch (TorchScript and torch.export too), Keras
    rb"(?s)PK(?:\x03\x04.{26}|\x01\x02.{42})[^\0]{0,255}?"
    rb"(?:/data\.pkl|/archive_format|\.weights\.h5)(?!\.)"
)
# A filling without its header: the bundle that create_snapshot writes to a file.
BUNDLE = rb"# v[23] git bundle\n(?:@[^\n]*\n)*[0-9a-f]{40,64} HEAD\n\nPACK"
