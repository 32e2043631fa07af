"""The name that Lightning users install; the plug-in itself is jellyml's."""

from jellyml.integrations.lightning import JellyMLCallback, JellyMLLightningPlugin

__all__ = ["JellyMLCallback", "JellyMLLightningPlugin"]
