"""A real nursery whose decoders misbehave on an image whose first pixel says so.

A program, not a test. Memory is short, so that a bomb need not be large.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from workers.preprocess import nursery

HANG, CRASH, KILL = 11, 12, 13
"""First pixels that do harm."""
COMMAND = (sys.executable, "-P", __file__)

_Decode = Callable[[bytes], NDArray[np.generic]]


def _hostile(honest: _Decode, frame: bytes) -> NDArray[np.generic]:
    decoded = np.asarray(honest(frame))
    if decoded.flat[0] == HANG:
        ctypes.PyDLL(None).pause()  # in C, with the GIL held: no Python code runs any more
    elif decoded.flat[0] == CRASH:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif decoded.flat[0] == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    return decoded


if __name__ == "__main__":
    imagecodecs.jpegls_decode = partial(_hostile, imagecodecs.jpegls_decode)
    nursery.MEMORY_BYTES = 64 * 1024**2
    nursery.main()
