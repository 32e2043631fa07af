"""Credentials: their patterns, their redaction, and the search with detect-secrets."""
