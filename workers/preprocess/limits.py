"""Limits that a process sets itself before it touches what came from outside."""

import resource
import sys
from pathlib import Path


def limit_memory(beyond: int) -> None:
    """Let this process take so many bytes more than it has now, and leave no core dump."""
    # A core dump would hold the picture.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # macOS does not keep this limit
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + beyond
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
