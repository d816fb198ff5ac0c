"""The long chaos campaign; `make chaos` runs it, pytest does not collect it."""
