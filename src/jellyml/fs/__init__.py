"""Files, folders, locks and temporary folders."""
