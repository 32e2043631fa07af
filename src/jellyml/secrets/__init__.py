"""Credentials: their forms, masking them, and the search by detect-secrets."""
