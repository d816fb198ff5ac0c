"""Settings of senders and of private SOP Classes: what is wrong stops the start with the cure."""

import pytest

from medqueue.doors.dimse.peers import read_allow_list
from medqueue.doors.dimse.presentation import read_private_sop_classes
from medqueue.errors import ConfigurationError
from medqueue.settings import Settings

PRIVATE = "1.2.276.0.7230010.3.1.0.1"


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
