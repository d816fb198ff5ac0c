"""Handing one delivery to its destination: by C-STORE, STOW-RS, MLLP, or as a webhook.

All of them answer the same two questions: did it arrive, and if not, is another try of use?
"""

import hashlib
import hmac
import io
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from pydicom import Dataset, dcmwrite

from medqueue.errors import DeliveryRefusedError, UnavailableError
from medqueue.operate.mllp_sender import MllpSender
from medqueue.operate.sender import SentFile, send_files
from schemas.application_entity import ApplicationEntity
from schemas.result import Result
from workers.delivery.oru import observation_message

_SECONDS = httpx.Timeout(60.0, connect=10.0)
_LATER = frozenset({401, 403, 404, 407, 408, 421, 425, 429})
"""Answers of HTTP that a person or time can change without a change of what was sent."""
_HL7_SECONDS = 30.0
_HL7_ACCEPTED, _HL7_NEVER = ("AA", "CA"), ("AR", "CR")
"""Table 0008; the others, AE and CE, are errors that another try may mend."""
_OUT_OF_RESOURCES = 0xA700
_FAILED_SOP_SEQUENCE = "00081198"
_LONGEST_ANSWER = 1024 * 1024


def store(
    objects: Sequence[Dataset], entity: ApplicationEntity, *, calling: str, folder: Path
) -> None:
    """Send DICOM objects by C-STORE.

    Args:
        objects: of one result.
        entity: which is called.
        calling: our AE title.
        folder: for the time of the transfer, under the data folder: they name a patient.

    Raises:
        UnavailableError: not now.
        DeliveryRefusedError: never.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for number, made in enumerate(objects):
            dcmwrite(Path(name, f"{number}.dcm"), made, enforce_file_format=True)
        summary = send_files(
            [Path(name)],
            host=entity.host,
            port=entity.port,
            called=entity.title,
            calling=calling,
        )
    for sent in summary.failed:
        _raise(sent)


def _raise(sent: SentFile) -> None:
    reason = sent.reason or "no reason given"
    if sent.is_unanswered or (
        sent.status is not None and sent.status & 0xFF00 == _OUT_OF_RESOURCES
    ):
        raise UnavailableError(reason)
    raise DeliveryRefusedError(reason)


def stow(objects: Sequence[Dataset], url: str, *, token: str | None) -> None:
    """Send DICOM objects by STOW-RS (PS3.18 section 10.5); raises as `store` does."""
    boundary = uuid4().hex
    parts = bytearray()
    for made in objects:
        content = io.BytesIO()
        dcmwrite(content, made, enforce_file_format=True)
        parts += f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        parts += content.getvalue() + b"\r\n"
    parts += f"--{boundary}--\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    answer = _post(f"{url}/studies", bytes(parts), headers, token)
    if answer.status_code == httpx.codes.ACCEPTED and _has_failures(answer):
        raise DeliveryRefusedError("the STOW-RS service has refused an object; see its log")


def _has_failures(answer: httpx.Response) -> bool:
    """Tell a warning from a refusal: 202 stands for both (PS3.18 table 10.5.3-1)."""
    try:
        document = answer.json()
    except ValueError:
        return True
    return not isinstance(document, dict) or _FAILED_SOP_SEQUENCE in document


def call_webhook(result: Result, url: str, *, secret: str | None, token: str | None) -> None:
    """Post a result as the feed has it; raises as `store` does.

    With a secret, `Medqueue-Signature` is `t=<seconds>,v1=<hex>`: HMAC-SHA256 of the seconds, a
    full stop and the body. The receiver should refuse old seconds, against replays.
    """
    body = result.model_dump_json().encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": result.id}
    if secret is not None:
        headers["Medqueue-Signature"] = sign(body, secret, at=int(time.time()))
    _post(url, body, headers, token)


def tell(result: Result, url: str, *, sending_facility: str) -> None:
    """Send a result as HL7 v2 by MLLP; raises as `store` does."""
    address = urlsplit(url)
    message = observation_message(result, sending_facility=sending_facility).encode()
    with MllpSender(address.hostname or "", address.port or 0, seconds=_HL7_SECONDS) as sender:
        code, _ = sender.ask(message)
    # Not its text, which may quote the patient.
    if code in _HL7_NEVER:
        raise DeliveryRefusedError(f"the HL7 receiver answers with {code}; see its log")
    if code not in _HL7_ACCEPTED:
        raise UnavailableError(f"the HL7 receiver answers with {code or 'no acknowledgement'}")


def sign(body: bytes, secret: str, *, at: int) -> str:
    """Return the value of `Medqueue-Signature`."""
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


def _post(url: str, body: bytes, headers: dict[str, str], token: str | None) -> httpx.Response:
    if token is not None:
        headers = headers | {"Authorization": f"Bearer {token}"}
    try:
        with httpx.stream("POST", url, content=body, headers=headers, timeout=_SECONDS) as answer:
            _read(answer)
    except httpx.HTTPError as error:
        raise UnavailableError(
            f"the destination does not answer ({type(error).__name__}); check its address"
        ) from None
    if answer.is_success:
        return answer
    # Not its text, which may quote the patient.
    detail = f"the destination answers with {answer.status_code}"
    if answer.status_code in _LATER or not answer.is_client_error:
        raise UnavailableError(detail)
    raise DeliveryRefusedError(detail)


def _read(answer: httpx.Response) -> None:
    """Read what is answered, and no more than any answer has."""
    if int(answer.headers.get("content-length") or 0) > _LONGEST_ANSWER:
        raise UnavailableError("the destination answers too much")
    answer.read()
