"""Results go back to the PACS and to other systems, however those behave."""

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chest_images import a_uid, an_image
from medqueue.ledger import deliveries
from medqueue.operate import ports
from orthanc_server import Orthanc, running_orthanc, with_dicomweb
from schemas.delivery import Delivery, DeliveryState
from waiting import wait_until
from whole_system import System, run, running_up

pytestmark = pytest.mark.acceptance

SECONDS = 60.0
SECRET = "made up for a test"
SEND_BACK = """
function OnStableStudy(id, tags, metadata)
  local job = DumpJson({Resources = {id}, Asynchronous = true}, true)
  RestApiPost('/modalities/medqueue/store', job)
end
"""


class Hook:
    """A receiver of webhooks that refuses or fails when it is told to."""

    def __init__(self, port: int) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.answers.pop(0) if hook.answers else 200
                if status == 200:
                    hook.got.append((dict(self.headers), body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@contextmanager
def a_hook() -> Iterator[Hook]:
    hook = Hook(0)
    thread = threading.Thread(target=hook.server.serve_forever)
    thread.start()
    try:
        yield hook
    finally:
        hook.server.shutdown()
        thread.join()
        hook.server.server_close()


def deliveries_of(system: System) -> list[Delivery]:
    with system.ledger.read() as connection:
        return deliveries.list_deliveries(connection, limit=100)


def all_delivered(system: System, count: int) -> bool:
    found = deliveries_of(system)
    return len(found) == count and all(one.state is DeliveryState.DELIVERED for one in found)


def series_of(orthanc: Orthanc) -> list[dict[str, Any]]:
    (study,) = orthanc.studies()
    return list(orthanc.client.get(f"/studies/{study}/series").json())


def test_the_pacs_gets_report_and_capture_in_its_study_once_and_sends_them_back_in_vain(
    tmp_path: Path,
) -> None:
    (door,) = ports.find_free(1)
    script = tmp_path / "send_back.lua"
    script.write_text(SEND_BACK)
    with running_orthanc(
        tmp_path / "orthanc",
        StableAge=1,
        LuaScripts=[str(script)],
        DicomModalities={"medqueue": ["MEDQUEUE", "127.0.0.1", door]},
        **with_dicomweb(),
    ) as orthanc:
        destinations = (
            f"pacs=dicom://ORTHANC@127.0.0.1:{orthanc.dicom_port},"
            f"vna=dicomweb+http://127.0.0.1:{orthanc.http_port}/dicom-web"
        )
        with running_up(tmp_path / "up", destinations=destinations, dimse_port=door) as system:
            file = an_image(tmp_path)
            orthanc.fill(file)

            wait_until(lambda: all_delivered(system, 2), SECONDS, what="both deliveries")
            found = series_of(orthanc)
            modalities = [one["MainDicomTags"]["Modality"] for one in found]
            assert sorted(modalities) == ["CR", "OT", "SR"], "the same objects on both ways"

            def came_back() -> bool:
                (study,) = system.get("/studies").json()["studies"]
                return bool(system.study(study["study_instance_uid"])["instances"]["kept"] == 3)

            wait_until(came_back, SECONDS, what="the study with its three objects")
            system.wait_until_all_is_done()
            assert len(system.results_of(kind="image")) == 1
            assert all_delivered(system, 2)
            assert run(system, "audit").returncode == 0


def test_a_webhook_is_signed_and_neither_lost_nor_doubled_by_a_receiver_that_fails(
    tmp_path: Path,
) -> None:
    with a_hook() as hook:
        url = f"webhook+http://127.0.0.1:{hook.server.server_port}/results"
        with running_up(
            tmp_path / "up", destinations=f"ris={url}", webhook_secret=SECRET
        ) as system:
            hook.answers = [503, 429]
            report = system.post_report("No pneumothorax.", language="en")
            found = system.wait_for_results(report_id=report)
            wait_until(lambda: all_delivered(system, len(found)), SECONDS, what="the delivery")

            assert hook.results() == found
            headers, body = hook.got[0]
            stamp, _, signature = headers["Medqueue-Signature"].partition(",v1=")
            signed = stamp.removeprefix("t=").encode() + b"." + body
            expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
            assert signature == expected
            assert headers["Idempotency-Key"] == json.loads(body)["id"]


def test_a_pacs_that_is_down_gets_it_later_and_one_that_refuses_leaves_a_visible_failure(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        dead = nobody.getsockname()[1]
    with a_hook() as hook:
        refusing = f"webhook+http://127.0.0.1:{hook.server.server_port}/"
        hook.answers = [400]
        with running_up(
            tmp_path / "up", destinations=f"pacs=dicom://PACS@127.0.0.1:{dead},ris={refusing}"
        ) as system:
            system.push(an_image(tmp_path, study=a_uid()))

            def states() -> dict[str, tuple[DeliveryState, str | None]]:
                found = deliveries_of(system)
                return {one.destination: (one.state, one.error_code) for one in found}

            expected = {
                "pacs": (DeliveryState.PENDING, "unavailable"),
                "ris": (DeliveryState.FAILED, "delivery-refused"),
            }
            wait_until(lambda: states() == expected, SECONDS, what="both outcomes")
            shown = run(system, "deliveries", "list", "--state", "failed", "--json").stdout
            assert [one["error_code"] for one in json.loads(shown)] == ["delivery-refused"]

            assert run(system, "deliveries", "requeue", "--all").returncode == 0
            wait_until(lambda: len(hook.got) == 1, SECONDS, what="the requeued delivery")
            with running_orthanc(tmp_path / "orthanc", DicomPort=dead, DicomAet="PACS") as orthanc:
                wait_until(lambda: all_delivered(system, 2), SECONDS, what="the PACS")
                assert len(series_of(orthanc)) == 2
