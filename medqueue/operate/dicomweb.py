"""An archive that is asked by QIDO-RS and read by WADO-RS (PS3.18 sections 10.6 and 10.4).

What it sends is of the form of STOW-RS, and goes through that door's own parser and admission.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from medqueue.doors.admission import Admission
from medqueue.doors.stow import StowRequest, boundary_of
from medqueue.errors import RefusedInputError, UnavailableError
from medqueue.operate.archives import FoundStudy, OnObjects, Retrieved, Wanted
from schemas.identifiers import is_uid

_SECONDS = httpx.Timeout(60.0, connect=10.0)
_LONGEST_ANSWER = 64 * 1024 * 1024
"""Of a search: some 50,000 studies. Nothing here reads without a bound."""
_OBJECTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""Each object as it lies in the archive."""
_LONGEST_NAME = 64
_STORED, _FAILED = "00081199", "00081198"
_STUDY_UID, _SERIES_UID = "0020000D", "0020000E"
_STUDY_SERIES, _STUDY_INSTANCES = "00201206", "00201208"


class DicomWeb:
    """A DICOMweb server."""

    def __init__(self, url: str, admission: Admission, *, token: str | None = None) -> None:
        """Make an archive that is asked later.

        Args:
            url: where its services begin, such as https://pacs.example/dicom-web.
            admission: where the objects go.
            token: presented as a bearer token, if there is one.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url, timeout=_SECONDS, headers=headers)
        self._admission = admission

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def name(self) -> str:
        """Its host, as far as a record of who sent has room."""
        return self._client.base_url.host[:_LONGEST_NAME]

    def find(self, wanted: Wanted) -> list[FoundStudy]:
        """Ask for the studies that match, and how many objects each has."""
        query = {
            "AccessionNumber": wanted.accession_number,
            "StudyDate": wanted.study_date,
            "ModalitiesInStudy": wanted.modality,
        }
        given: dict[str, Any] = {name: value for name, value in query.items() if value}
        given["includefield"] = [_STUDY_INSTANCES, _STUDY_SERIES]
        found: dict[str, FoundStudy] = {}
        for uid in wanted.study_instance_uids or (None,):
            for item in self._search("studies", given | ({_STUDY_UID: uid} if uid else {})):
                study = str(_value(item, _STUDY_UID))
                if is_uid(study):
                    found[study] = FoundStudy(
                        study, _count(item, _STUDY_INSTANCES), _count(item, _STUDY_SERIES)
                    )
        return list(found.values())

    def retrieve(self, study_instance_uid: str, on_objects: OnObjects) -> Retrieved:
        """Read one study, a series at a time."""
        stored = failed = 0
        for item in self._search(f"studies/{study_instance_uid}/series", {}):
            series = str(_value(item, _SERIES_UID))
            if is_uid(series):
                path = f"studies/{study_instance_uid}/series/{series}"
                more, refused = self._read(path, study_instance_uid)
                stored, failed = stored + more, failed + refused
                on_objects(stored)
        reason = (
            f"{failed} objects were refused; see: medqueue audit, medqueue doctor"
            if failed
            else None
        )
        return Retrieved(total=stored + failed, reason=reason)

    def _read(self, path: str, study_instance_uid: str) -> tuple[int, int]:
        """Hand the objects under a path to the admission; return how many it took and refused."""
        with self._ask(path, {}, _OBJECTS) as answer:
            receiver = None
            try:
                receiver = StowRequest(
                    self._admission,
                    boundary=boundary_of(answer.headers.get("content-type", "")),
                    study_instance_uid=study_instance_uid,
                    sender=self.name,
                )
                for piece in answer.iter_bytes():
                    receiver.feed(piece)
                document = receiver.finish().document
            except RefusedInputError as error:
                raise UnavailableError(
                    f"{self.name} sends no DICOM objects: {error.detail}"
                ) from None
            finally:
                if receiver is not None:
                    receiver.close()
        return _length(document, _STORED), _length(document, _FAILED)

    def _search(self, path: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        body = bytearray()
        with self._ask(path, query, "application/dicom+json") as answer:
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _LONGEST_ANSWER:
                    raise UnavailableError("the archive finds too much; narrow the search")
        try:
            found = json.loads(body) if body else []
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise UnavailableError(f"{self.name} does not answer as QIDO-RS; check the URL")
        return found

    @contextmanager
    def _ask(self, path: str, query: dict[str, Any], accept: str) -> Iterator[httpx.Response]:
        try:
            with self._client.stream(
                "GET", path, params=query, headers={"Accept": accept}
            ) as answer:
                if not answer.is_success:
                    raise UnavailableError(f"{self.name} answers with {answer.status_code}")
                yield answer
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"{self.name} does not answer ({type(error).__name__}); check the URL"
            ) from None


def _value(item: dict[str, Any], tag: str) -> Any:
    """Return the first value of an element of the DICOM JSON model (PS3.18 annex F)."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _count(item: dict[str, Any], tag: str) -> int | None:
    value = _value(item, tag)
    try:
        return int(value) or None
    except (TypeError, ValueError):
        return None


def _length(document: dict[str, Any], tag: str) -> int:
    return len(document.get(tag, {"Value": []})["Value"])
