"""Settings of TLS and of private SOP Classes: what is wrong stops the start with the cure."""

from pathlib import Path

import pytest

from medqueue.doors.dimse.peers import read_allow_list
from medqueue.doors.dimse.presentation import read_private_sop_classes
from medqueue.doors.dimse.tls import read_tls
from medqueue.errors import ConfigurationError
from medqueue.settings import Settings

PRIVATE = "1.2.276.0.7230010.3.1.0.1"


def test_without_a_certificate_there_is_no_tls() -> None:
    assert read_tls(Settings()) is None


@pytest.mark.parametrize("name", ["tls_certificate", "tls_key", "tls_client_ca"])
def test_one_file_of_a_pair_alone_stops_the_start(name: str) -> None:
    with pytest.raises(ConfigurationError, match="both MEDQUEUE_TLS_CERTIFICATE"):
        read_tls(Settings.model_validate({name: "/nowhere"}))


def test_a_file_that_cannot_be_read_or_is_no_certificate_stops_the_start(tmp_path: Path) -> None:
    files = Settings(tls_certificate=tmp_path / "none", tls_key=tmp_path / "none")
    with pytest.raises(ConfigurationError, match="No such file"):
        read_tls(files)
    (tmp_path / "none").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="PEM"):
        read_tls(files)


def test_with_certificates_of_clients_a_door_may_open_beyond_loopback() -> None:
    beyond = "0.0.0.0"  # noqa: S104 - that is the point
    paths = {"tls_certificate": "/c", "tls_key": "/k"}
    with pytest.raises(ConfigurationError, match="MEDQUEUE_TLS_CLIENT_CA"):
        read_allow_list(Settings.model_validate(paths), beyond)
    asking = Settings.model_validate({**paths, "tls_client_ca": "/ca"})
    assert read_allow_list(asking, beyond).allows("ANY", "10.0.0.1")


def test_private_classes_are_taken_as_the_site_says() -> None:
    standard = "1.2.840.10008.5.1.4.1.2.2.1"
    assert not read_private_sop_classes(Settings()).take(PRIVATE)
    listed = read_private_sop_classes(Settings(private_sop_classes=f"{PRIVATE}, 1.3.6"))
    assert [listed.take(uid) for uid in (PRIVATE, "1.3.6", "1.3.7")] == [True, True, False]
    everything = read_private_sop_classes(Settings(private_sop_classes="any"))
    assert [everything.take(uid) for uid in (PRIVATE, standard)] == [True, False]


@pytest.mark.parametrize("text", ["all", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.3,"])
def test_what_is_no_private_class_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigurationError, match="MEDQUEUE_PRIVATE_SOP_CLASSES"):
        read_private_sop_classes(Settings(private_sop_classes=text))
