"""STOW-RS: each object of a request is durable or refused on its own, and the answer says which."""

import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from sqlalchemy import select

from builders import count
from http_client import TERABYTES, Client, bearer, compose, tokens
from medqueue.doors.admission import Admission
from medqueue.doors.stow import StowRequest
from medqueue.errors import MalformedRequestError
from medqueue.ledger import evidence
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import instances
from medqueue.storage.instances import InstanceStore
from schemas.completeness import EvidenceKind

STUDIES = "/dicom-web/studies"
TYPE = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=BORDER'}


def an_object(number: int = 1) -> Dataset:
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    data = dcmread(path)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    return data


def as_file(data: Dataset) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, data)
    return buffer.getvalue()


def body(*parts: bytes) -> bytes:
    head = b"--BORDER\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + part + b"\r\n" for part in parts) + b"--BORDER--\r\n"


def store(client: Client, *parts: bytes, url: str = STUDIES, **options: Any) -> httpx.Response:
    headers = TYPE | options.pop("headers", {})
    return client.post(url, content=body(*parts), headers=headers, **options)


def uids(response: httpx.Response, tag: str) -> list[str]:
    return [
        item["00081155"]["Value"][0] for item in response.json().get(tag, {"Value": []})["Value"]
    ]


def reasons(response: httpx.Response, tag: str) -> list[int]:
    return [item["00081197"]["Value"][0] for item in response.json()[tag]["Value"]]


@pytest.fixture
def client(sqlite_ledger: Ledger, tmp_path: Path) -> Client:
    return Client(compose(sqlite_ledger, tmp_path))


def test_every_object_is_stored_as_it_came(
    client: Client, sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    response = store(client, as_file(an_object(1)), as_file(an_object(2)))

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/dicom+json"
    assert uids(response, "00081199") == ["1.2.3.1", "1.2.3.2"]
    with sqlite_ledger.read() as connection:
        path = connection.execute(select(instances.c.path)).scalars().first()
    assert dcmread(tmp_path / "instances" / str(path)).PixelData == an_object().PixelData


def test_the_same_object_again_is_a_success_and_one_record(
    client: Client, sqlite_ledger: Ledger
) -> None:
    assert store(client, as_file(an_object())).status_code == 200
    assert store(client, as_file(an_object())).status_code == 200
    assert count(sqlite_ledger, instances) == 1


def test_a_bad_part_does_not_cost_its_neighbours(client: Client) -> None:
    response = store(client, b"no DICOM at all", as_file(an_object()), b"")

    assert response.status_code == 202
    assert uids(response, "00081199") == ["1.2.3.1"]
    assert reasons(response, "0008119A") == [0xC000, 0xC000]


def test_nothing_stored_is_a_conflict(client: Client) -> None:
    cut_off = as_file(an_object())[:200]

    assert store(client, cut_off).status_code == 409


def test_an_object_of_another_study_than_the_url_says_is_refused(client: Client) -> None:
    data = an_object()
    here = store(client, as_file(data), url=f"{STUDIES}/{data.StudyInstanceUID}")
    there = store(client, as_file(an_object(2)), url=f"{STUDIES}/1.2.3")

    assert here.status_code == 200
    assert there.status_code == 409
    assert reasons(there, "00081198") == [0xA900]


def test_a_study_that_is_no_uid_is_refused(client: Client) -> None:
    assert store(client, as_file(an_object()), url=f"{STUDIES}/..%2Fevil").status_code in {404, 422}


def test_meta_information_that_lies_about_the_object_is_refused(client: Client) -> None:
    data = an_object()
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99"
    buffer = io.BytesIO()
    dcmwrite(buffer, data, enforce_file_format=False)
    data.SOPInstanceUID = "1.2.3.98"

    response = store(client, buffer.getvalue().replace(b"1.2.3.99", b"1.2.3.97", 1))

    assert response.status_code == 409
    assert reasons(response, "00081198") == [0xA900]


def test_a_full_disk_means_try_again(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(sqlite_ledger, tmp_path, min_free_mib=TERABYTES))

    response = store(client, as_file(an_object()))

    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert reasons(response, "00081198") == [0xA700]


@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        ("application/dicom", b"", 415),
        ('multipart/related; type="application/json"; boundary=BORDER', b"", 415),
        ("multipart/related; boundary=BORDER", b"no border here", 400),
        ("multipart/related; boundary=BORDER", b"", 400),
        ("multipart/related; boundary=BORDER", body(), 400),
    ],
)
def test_a_body_of_another_form_is_a_problem(
    client: Client, content_type: str, content: bytes, status: int
) -> None:
    response = client.post(STUDIES, content=content, headers={"Content-Type": content_type})

    assert response.status_code == status
    assert response.json()["code"] in {"unsupported-media", "malformed-request"}


def test_a_request_that_breaks_off_leaves_nothing_behind(
    sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    folder = tmp_path / "instances"
    admission = Admission(sqlite_ledger, InstanceStore(folder, min_free_mib=0), max_attempts=3)
    request = StowRequest(admission, boundary=b"BORDER", study_instance_uid=None, sender="x")
    for byte in body(as_file(an_object()))[:-300]:
        request.feed(bytes([byte]))

    with pytest.raises(MalformedRequestError):
        request.finish()
    request.close()

    assert count(sqlite_ledger, instances) == 0
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_storing_needs_the_role_send(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(sqlite_ledger, tmp_path, api_tokens=tokens(pacs="send", ris="read")))

    assert store(client, as_file(an_object())).status_code == 401
    assert store(client, as_file(an_object()), headers=bearer("ris")).status_code == 403
    assert store(client, as_file(an_object()), headers=bearer("pacs")).status_code == 200


def test_the_end_of_a_request_is_evidence_as_that_of_an_association_is(
    sqlite_ledger: Ledger, client: Client
) -> None:
    store(client, as_file(an_object(1)), as_file(an_object(2)))
    with sqlite_ledger.read() as connection:
        (released,) = evidence.of_study(connection, str(an_object().StudyInstanceUID))
    assert (released.kind, released.source) == (EvidenceKind.ASSOCIATION_RELEASED, "local")


def test_a_request_that_breaks_off_is_evidence_that_more_may_come(
    sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    instance_store = InstanceStore(tmp_path, min_free_mib=0)
    receiver = StowRequest(
        Admission(sqlite_ledger, instance_store, max_attempts=3),
        boundary=b"BORDER",
        study_instance_uid=None,
        sender="pacs",
    )
    receiver.feed(body(as_file(an_object(1)), as_file(an_object(2)))[:-2000])
    receiver.close()
    with sqlite_ledger.read() as connection:
        (aborted,) = evidence.of_study(connection, str(an_object().StudyInstanceUID))
    assert (aborted.kind, aborted.source) == (EvidenceKind.ASSOCIATION_ABORTED, "pacs")
