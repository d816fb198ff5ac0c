"""The files of TLS: what is wrong with them stops the start with the cure."""

from pathlib import Path

import pytest

from medqueue.doors.hl7.senders import read_senders
from medqueue.doors.tls import read_tls
from medqueue.errors import ConfigurationError
from medqueue.settings import Settings

NOWHERE = Path("/nowhere")


def test_without_a_certificate_there_is_no_tls() -> None:
    assert read_tls(None, None, None, variables="MEDQUEUE_TLS") is None


@pytest.mark.parametrize(
    "files", [(NOWHERE, None, None), (None, NOWHERE, None), (None, None, NOWHERE)]
)
def test_one_file_of_a_pair_alone_stops_the_start(
    files: tuple[Path | None, Path | None, Path | None],
) -> None:
    with pytest.raises(ConfigurationError, match="both MEDQUEUE_HL7_TLS_CERTIFICATE"):
        read_tls(*files, variables="MEDQUEUE_HL7_TLS")


def test_a_file_that_cannot_be_read_or_is_no_certificate_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "none"
    with pytest.raises(ConfigurationError, match=r"MEDQUEUE_TLS_CERTIFICATE.*No such file"):
        read_tls(file, file, None, variables="MEDQUEUE_TLS")
    file.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="PEM"):
        read_tls(file, file, None, variables="MEDQUEUE_TLS")


def test_with_certificates_of_senders_the_hl7_door_may_open_beyond_loopback() -> None:
    beyond = "0.0.0.0"  # noqa: S104 - that is the point
    paths = {"hl7_tls_certificate": "/c", "hl7_tls_key": "/k"}
    with pytest.raises(ConfigurationError, match="MEDQUEUE_HL7_TLS_CLIENT_CA"):
        read_senders(Settings.model_validate(paths), beyond)
    asking = Settings.model_validate({**paths, "hl7_tls_client_ca": "/ca"})
    assert read_senders(asking, beyond).allows("10.0.0.1")
