"""The process that decoders are forked from: no thread, no connection, every codec loaded.

Files come from anywhere, and decoders are written in C: a bomb, an endless loop or a crash must
cost its own piece of work and nothing else. So each worker process has a forked decoder of its own,
with a limit on memory and a deadline that the kernel keeps; a fork from here takes 4 ms, and a
decoder lives as long as its worker process unless a file kills it.

This is the side of the nursery; `isolated` is the side of the worker.
"""

import contextlib
import json
import logging
import os
import signal
import socket
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from medqueue.errors import WorkError
from medqueue.logs import configure_logs, get_logger
from schemas.manifest import ImagePreparation
from schemas.preparation import TablePreparation
from workers.preprocess.limits import limit_memory
from workers.preprocess.series import prepare_series

MEMORY_BYTES = 2 * 1024**3
"""What a decoder may take beside its code. The largest image that is decoded at all
(`decoding.MAX_DECODED_BYTES`) needs 1.3 GiB as native pixel data; in JPEG 2000, for which OpenJPEG
takes four bytes a pixel for itself, half that size does."""
UNKNOWN_FAULT = "internal"
"""Code of a fault of ours, in an answer to the worker."""

_logger = get_logger(__name__)


def main() -> None:
    """Run the nursery on the socket whose file descriptor is the last argument, until it closes."""
    _keep_stderr_for_logs()
    configure_logs("decoder", "warning")
    # It tells of damage too, in words of the file.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    # A Ctrl-C in the terminal reaches every process: work in hand is finished nevertheless.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    with socket.socket(fileno=int(sys.argv[-1])) as control:
        _raise_decoders(control)


def _keep_stderr_for_logs() -> None:
    """Let codecs written in C and Rust print into the void: they complain by the page."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8")
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, 2)
    os.close(void)


def _raise_decoders(control: socket.socket) -> None:
    """Fork a decoder for each pair of descriptors that comes: its line, and its obituary's pipe."""
    obituaries: dict[int, int] = {}

    def bury(*_: object) -> None:
        while obituaries:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            obituary = obituaries.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # the worker itself has hung up
                os.write(obituary, bytes([os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0]))
            os.close(obituary)

    signal.signal(signal.SIGCHLD, bury)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if len(descriptors) != 2:  # noqa: PLR2004 - the worker is gone
            return
        line, obituary = descriptors
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            for inherited in (control.fileno(), obituary, *obituaries.values()):
                os.close(inherited)
            _live(line)
        os.close(line)
        obituaries[pid] = obituary
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _live(line: int) -> NoReturn:
    """Be a decoder until the worker hangs up."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Not caught: it ends the process even inside a decoder that never returns to Python.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        limit_memory(MEMORY_BYTES)
        _serve(Connection(line))
        status = 0
    finally:
        os._exit(status)


def _serve(line: Connection) -> None:
    while True:
        try:
            request = json.loads(line.recv_bytes())
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        answer, prepared = _answer(
            [Path(path) for path in request["paths"]],
            ImagePreparation.model_validate(request["preparation"]),
            request["table"] and TablePreparation.model_validate(request["table"]),
        )
        signal.setitimer(signal.ITIMER_REAL, 0)
        line.send_bytes(json.dumps(answer).encode())
        if prepared is not None:
            line.send_bytes(prepared.data)


def _answer(
    paths: list[Path], preparation: ImagePreparation, table: TablePreparation | None
) -> tuple[dict[str, object], NDArray[np.float32] | None]:
    try:
        prepared = np.ascontiguousarray(prepare_series(paths, preparation, table))
    except WorkError as error:
        return {"code": error.code, "detail": error.detail}, None
    except MemoryError:
        return {"code": "undecodable", "detail": "it takes more memory than a decoder may have"}, (
            None
        )
    except Exception as error:
        # Only the type is kept: the text of an unknown error may quote the input.
        _logger.exception("decoding-raised")
        return {"code": UNKNOWN_FAULT, "detail": type(error).__name__}, None
    return {"shape": prepared.shape}, prepared
