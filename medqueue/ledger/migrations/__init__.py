"""Alembic migrations of the ledger, one file a step, never edited after a release."""
