"""Every checkpoint below some folders: found, glanced at, asked which code made it."""
