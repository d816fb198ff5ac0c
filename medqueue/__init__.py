"""The queue between a PACS and its AI models."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("medqueue")
except PackageNotFoundError:  # a bare checkout that nobody installed
    __version__ = "0.0.0"
