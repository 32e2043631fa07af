"""The examples of credentials in documentation and tests, which are not reported.

An example is a whole value: a documented one, one repeated character, or a placeholder for a
password. A part of a value never makes it an example, because random keys contain any word.
"""

import re

# In parts, so that no scanner of repositories reports this file.
_DOCUMENTED = frozenset(
    {
        b"AKIAIOSFODNN7" + b"EXAMPLE",
        b"ASIAIOSFODNN7" + b"EXAMPLE",
        b"AKIAI44QH8DHB" + b"EXAMPLE",
        b"wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + b"EXAMPLEKEY",
        b"je7MtGbClwBF/2Zp9Utk/h3yCo8nvb" + b"EXAMPLEKEY",
        # The account key of Azurite, the emulator of Azure storage.
        b"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        # The token on the first page of jwt.io.
        b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
        b".eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ"
        b".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    }
)
_PLACEHOLDER = re.compile(
    rb"(?i)(?:(?:your|my|the|some|user|db)[-_]?)?"
    rb"(?:pass(?:word|wd|phrase)?|pwd?|secret|token|user(?:name)?|(?:api[-_]?)?key)(?:[-_]?here)?"
    rb"|change[-_]?me"
)


def is_example(value: bytes, body: bytes) -> bool:
    """Return True for a value that is an example as a whole; ``body`` is it without its prefix."""
    plain = body.translate(None, b"-_./=")
    return value in _DOCUMENTED or len(set(plain)) <= 1 or bool(_PLACEHOLDER.fullmatch(value))
