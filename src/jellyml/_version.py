"""The version of JellyML."""

__version__ = "2.0.0"
