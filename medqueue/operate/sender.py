"""Pushing DICOM files to a Storage SCP by C-STORE, each as it lies: nothing is decoded."""

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config, build_context, evt
from pynetdicom.association import Association
from pynetdicom.dsutils import split_dataset

from medqueue.doors.dimse.reachable import CONNECT_SECONDS, require_listener
from medqueue.doors.header import require_whole
from medqueue.errors import NotDicomError, UnavailableError
from schemas.identifiers import is_uid

CALLING_AE = "MEDQUEUE_SEND"

_MAX_CONTEXTS = 128
"""Presentation contexts of one association: identifiers are the odd numbers to 255."""

_ANSWER_SECONDS = 120.0
"""How long a receiver may take to make one object durable before it counts as lost."""

_HIGH, _MEDIUM = 0x0001, 0x0000
"""Priority (0000,0700) of a C-STORE-RQ, PS3.7 section E.1."""

OnProgress = Callable[[int, int], None]
"""Called after every file with the number of files done, and of all."""


@dataclass(frozen=True, slots=True)
class SentFile:
    """What became of one file. `reason` is None when the receiver has accepted it."""

    path: Path
    size: int
    status: int | None = None
    """Status (0000,0900) of the C-STORE-RSP; None when there was none."""
    reason: str | None = None
    is_unanswered: bool = False
    """The receiver broke the association instead of answering."""


@dataclass(frozen=True, slots=True)
class SendSummary:
    """What became of all files."""

    files: tuple[SentFile, ...]

    @property
    def accepted(self) -> int:
        """How many the receiver has made its own."""
        return sum(file.reason is None for file in self.files)

    @property
    def failed(self) -> tuple[SentFile, ...]:
        """Those that were refused, or could not be sent."""
        return tuple(file for file in self.files if file.reason is not None)


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    size: int
    sop_class_uid: str
    transfer_syntax_uid: str

    @property
    def context(self) -> tuple[str, str]:
        return self.sop_class_uid, self.transfer_syntax_uid


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files, and every file below the folders but hidden ones, in a stable order."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            below = (file for file in sorted(path.rglob("*")) if file.is_file())
            found.update((file, None) for file in below if not file.name.startswith("."))
        else:
            found[path] = None
    return list(found)


def send_files(
    paths: Iterable[Path],
    *,
    host: str,
    port: int,
    called: str,
    calling: str = CALLING_AE,
    urgent: bool = False,
    on_progress: OnProgress | None = None,
) -> SendSummary:
    """Push files and folders to a Storage SCP, each in its own transfer syntax.

    Args:
        paths: files, or folders whose files are all sent.
        host: where the receiver listens.
        port: likewise.
        called: AE title of the receiver.
        calling: AE title under which to send.
        urgent: set the priority of every request to HIGH.
        on_progress: told after every file.

    Raises:
        UnavailableError: the receiver does not answer, or rejects the association.
    """
    files = find_files(paths)
    done: list[SentFile] = []

    def note(sent: SentFile) -> None:
        done.append(sent)
        if on_progress is not None:
            on_progress(len(done), len(files))

    candidates = []
    for path in files:
        try:
            candidates.append(_inspect(path))
        except NotDicomError as error:
            note(SentFile(path, 0, reason=error.detail))
    peer = _Peer(host, port, called, calling)
    for batch in _batches(candidates):
        for sent in peer.push(batch, _HIGH if urgent else _MEDIUM):
            note(sent)
    return SendSummary(tuple(done))


def _inspect(path: Path) -> _Candidate:
    """Read what the association must know before the file can be sent.

    Raises:
        NotDicomError: the file is not a DICOM file, or is damaged.
    """
    try:
        # The library's own view of the file, since it is the library that will send it.
        meta, offset = split_dataset(path)
        sop_class_uid = str(meta.get("MediaStorageSOPClassUID", ""))
        transfer_syntax_uid = str(meta.get("TransferSyntaxUID", ""))
        sop_instance_uid = str(meta.get("MediaStorageSOPInstanceUID", ""))
    except OSError as error:
        raise NotDicomError(error.strerror or type(error).__name__) from None
    except Exception:  # noqa: BLE001 - a damaged file makes the parser raise any type
        raise NotDicomError("not a DICOM file (PS3.10 section 7.1)") from None
    for uid in (sop_class_uid, transfer_syntax_uid, sop_instance_uid):
        if not is_uid(uid):
            raise NotDicomError("its File Meta Information lacks a UID that sending needs")
    with path.open("rb") as file:
        file.seek(offset)
        require_whole(file, transfer_syntax_uid)
    return _Candidate(path, path.stat().st_size, sop_class_uid, transfer_syntax_uid)


def _batches(candidates: Sequence[_Candidate]) -> Iterator[list[_Candidate]]:
    """Split so that every batch needs no more presentation contexts than an association has."""
    batch: list[_Candidate] = []
    contexts: set[tuple[str, str]] = set()
    for candidate in candidates:
        if candidate.context not in contexts and len(contexts) == _MAX_CONTEXTS:
            yield batch
            batch, contexts = [], set()
        contexts.add(candidate.context)
        batch.append(candidate)
    if batch:
        yield batch


class _Peer:
    """A receiver, and how to reach it."""

    def __init__(self, host: str, port: int, called: str, calling: str) -> None:
        self._address = (host, port)
        self._called = called
        self._entity = AE(ae_title=calling)
        self._entity.connection_timeout = CONNECT_SECONDS
        self._entity.dimse_timeout = _ANSWER_SECONDS
        self._entity.network_timeout = _ANSWER_SECONDS

    def push(self, batch: Sequence[_Candidate], priority: int) -> Iterator[SentFile]:
        """Send a batch over one association, opened anew if the receiver breaks it."""
        association = self._associate(batch)
        try:
            for number, candidate in enumerate(batch, start=1):
                if not association.is_established:
                    association = self._associate(batch)
                sent = _store(association, candidate, priority, number % 0x10000)
                if sent.is_unanswered:
                    # It notices its end only later; until then it would wait for answers.
                    association.abort()
                yield sent
        finally:
            if association.is_established:
                association.release()

    def _associate(self, batch: Sequence[_Candidate]) -> Association:
        host, port = self._address
        require_listener(
            host,
            port,
            who="DICOM receiver",
            cure="is it running there? Start ours with: medqueue up",
        )
        contexts = dict.fromkeys(candidate.context for candidate in batch)
        association = self._entity.associate(
            host,
            port,
            contexts=[build_context(sop_class, syntax) for sop_class, syntax in contexts],
            ae_title=self._called,
            evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once)],
        )
        if association.is_rejected:
            raise UnavailableError(
                f"{host}:{port} rejects the association; check the called AE title "
                f"({self._called}) and that the receiver allows {self._entity.ae_title}"
            )
        if not association.is_established:
            raise UnavailableError(
                f"what listens at {host}:{port} does not answer as a DICOM receiver; check the port"
            )
        return association


def _send_at_once(event: evt.Event) -> None:
    """Switch off Nagle's algorithm, which would hold back the last part of every object."""
    connection: Any = event.assoc.dul.socket
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _store(
    association: Association, candidate: _Candidate, priority: int, message_id: int
) -> SentFile:
    # The library's only switch for sending a file's bytes as they lie.
    _config.STORE_SEND_CHUNKED_DATASET = True
    try:
        response = association.send_c_store(candidate.path, msg_id=message_id, priority=priority)
    except ValueError:
        reason = "the receiver accepts no such SOP Class in this transfer syntax"
        return SentFile(candidate.path, candidate.size, reason=reason)
    status = response.get("Status")
    if status is None:
        reason = "the receiver broke the association before it answered"
        return SentFile(candidate.path, candidate.size, reason=reason, is_unanswered=True)
    if status == 0 or status & 0xF000 == 0xB000:  # noqa: PLR2004 - PS3.7 section C.4
        return SentFile(candidate.path, candidate.size, status=status)
    comment = str(response.get("ErrorComment", ""))
    reason = f"refused with status 0x{status:04X}" + (f": {comment}" if comment else "")
    return SentFile(candidate.path, candidate.size, status=status, reason=reason)
