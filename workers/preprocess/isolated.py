"""Preparation in a process apart, which a hostile file may kill without harm to the worker.

Pictures do not travel: the decoder reads the file by itself and hands back what the model takes.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medqueue.errors import (
    DecoderLostError,
    MedqueueError,
    NotAVolumeError,
    UndecodableError,
    UnfitInputError,
    UnsupportedInputError,
    WorkError,
)
from schemas.manifest import ImagePreparation
from schemas.preparation import TablePreparation

PROGRAM = (sys.executable, "-P", "-c", "from workers.preprocess.nursery import main; main()")
"""An interpreter of its own: a fork of the worker would have its threads, its connections to
ledger and broker, and perhaps its GPU. `-P`: beside a folder `schemas` it must not import that."""
SECONDS = 120.0
"""For one request. The slowest image there is, half a gigabyte of JPEG 2000, takes half of it."""
_SECONDS_A_SLICE = 0.5
"""More for each further slice of a volume; a large one in JPEG 2000 takes 0.1."""
_GRACE_SECONDS = 10.0
"""The kernel ends a decoder at its deadline; one that is silent for longer is stopped or stuck."""
_OBITUARY_SECONDS = 5.0

_ERRORS = {
    error.code: error
    for error in (UndecodableError, UnsupportedInputError, NotAVolumeError, UnfitInputError)
}


class Nursery:
    """Starts the process that decoders are forked from. Processes forked later may share it."""

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        self._program = program
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, once it is started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it without waiting; it loads its codecs in half a second."""
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*self._program, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def stop(self) -> None:
        """End it; decoders end with the processes that use them."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait()
            self._control = self._process = None

    def send_for_decoder(self, line: socket.socket, obituary: int) -> None:
        """Have a decoder forked that serves `line`, and its last signal written to `obituary`.

        Raises:
            OSError: the nursery cannot be started.
        """
        if self._control is not None:
            with contextlib.suppress(OSError):  # it was killed: here is another
                socket.send_fds(self._control, [b"+"], [line.fileno(), obituary])
                return
            self.stop()
        self.start()
        if self._control is not None:
            socket.send_fds(self._control, [b"+"], [line.fileno(), obituary])


class _Decoder:
    """The line to one forked decoder."""

    def __init__(self, nursery: Nursery) -> None:
        ours, theirs = socket.socketpair()
        self._obituary, obituary = os.pipe()
        with theirs:
            try:
                nursery.send_for_decoder(theirs, obituary)
            except OSError as error:
                ours.close()
                os.close(self._obituary)
                raise DecoderLostError(
                    f"no decoder can be started ({type(error).__name__}); see the worker's log"
                ) from None
            finally:
                os.close(obituary)
        self._line = Connection(ours.detach())

    def close(self) -> None:
        self._line.close()
        os.close(self._obituary)

    def ask(self, request: bytes, seconds: float) -> NDArray[np.float32]:
        """Return what it prepares; raises OSError or EOFError when it dies over it."""
        self._line.send_bytes(request)
        if not self._line.poll(seconds + _GRACE_SECONDS):
            raise DecoderLostError("a decoder did not end at its deadline; is it stopped?")
        answer = json.loads(self._line.recv_bytes())
        if "code" in answer:
            raise _ERRORS.get(answer["code"], MedqueueError)(answer["detail"])
        prepared = np.empty(answer["shape"], dtype=np.float32)
        if prepared.nbytes:
            self._line.recv_bytes_into(prepared.data.cast("B"))
        return prepared

    def last_signal(self) -> int | None:
        """Return what killed it, 0 for none, or None where the nursery is gone as well."""
        readable, _, _ = select.select([self._obituary], [], [], _OBITUARY_SECONDS)
        last = os.read(self._obituary, 1) if readable else b""
        return last[0] if last else None


class IsolatedPreparation:
    """`series.prepare_series` for one worker process; its threads take turns."""

    def __init__(self, nursery: Nursery, *, seconds: float = SECONDS) -> None:
        self._nursery = nursery
        self._seconds = seconds
        self._decoder: _Decoder | None = None
        self._lock = threading.Lock()

    def __call__(
        self,
        paths: Sequence[Path],
        preparation: ImagePreparation,
        table: TablePreparation | None = None,
    ) -> NDArray[np.float32]:
        """Prepare files as `prepare_series` does, each file or volume with a deadline of its own.

        Raises:
            UndecodableError: as there; also when a decoder crashed or did not end.
            UnsupportedInputError: as there.
            DecoderLostError: the decoder was killed from outside; another try may help.
        """
        parts = [paths] if preparation.takes == "volume" else [[path] for path in paths]
        with self._lock:
            return np.concatenate([self._prepare(part, preparation, table) for part in parts])

    def close(self) -> None:
        """Let the decoder go."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def _prepare(
        self, paths: Sequence[Path], preparation: ImagePreparation, table: TablePreparation | None
    ) -> NDArray[np.float32]:
        seconds = self._seconds + (len(paths) - 1) * _SECONDS_A_SLICE
        request = {
            "paths": [str(path) for path in paths],
            "preparation": preparation.model_dump(mode="json"),
            "table": table and table.model_dump(mode="json"),
            "seconds": seconds,
        }
        self._decoder = self._decoder or _Decoder(self._nursery)
        try:
            return self._decoder.ask(json.dumps(request).encode(), seconds)
        except WorkError:
            raise  # its answer
        except (EOFError, OSError):
            last = self._decoder.last_signal()
            self.close()
            raise _cause_of_death(last) from None
        except BaseException:
            # Its answer may still come, and would be taken for that to the next request: the
            # pictures of one patient for those of another.
            self.close()
            raise


def _cause_of_death(last: int | None) -> MedqueueError:
    if last == signal.SIGALRM:
        return UndecodableError("decoding did not come to an end in time")
    if last in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL):
        return UndecodableError(f"a decoder crashed on it ({signal.Signals(last).name})")
    return DecoderLostError(
        "the decoder was killed, perhaps by the system for want of memory; see the memory of the "
        "machine, then requeue"
    )
