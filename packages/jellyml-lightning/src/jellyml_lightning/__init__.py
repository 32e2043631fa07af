"""The package that Lightning users install; the plug-in itself is in jellyml."""

from jellyml.integrations.lightning import JellyMLCallback, JellyMLLightningPlugin

__all__ = ["JellyMLCallback", "JellyMLLightningPlugin"]
