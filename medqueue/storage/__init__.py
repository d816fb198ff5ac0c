"""Bytes on disk: instances as they came, and artifacts that pass between stages."""
