"""The allow-list of calling AE titles and addresses."""

import pytest

from medqueue.doors.dimse.peers import read_allow_list
from medqueue.errors import ConfigurationError
from medqueue.settings import Settings


def test_beyond_loopback_a_door_without_an_allow_list_does_not_open() -> None:
    with pytest.raises(ConfigurationError, match="MEDQUEUE_CALLING_AES"):
        read_allow_list(Settings(), "0.0.0.0")  # noqa: S104 - that is the point


def test_on_loopback_everybody_may_call() -> None:
    assert read_allow_list(Settings(), "127.0.0.1").allows("ANY", "127.0.0.1")


@pytest.mark.parametrize(
    ("title", "address", "may"),
    [
        ("PACS", "10.0.0.5", True),
        ("PACS", "::ffff:10.0.0.5", True),
        ("PACS", "10.0.0.6", False),
        ("CT 1", "10.0.1.77", True),
        ("CT", "10.0.1.77", False),
        ("PACS", "10.0.1.77", False),
        ("V6", "fe80::1%eth0", True),
    ],
)
def test_title_and_address_must_both_be_listed(title: str, address: str, may: bool) -> None:
    settings = Settings(calling_aes="PACS@10.0.0.5, CT 1@10.0.1.0/24,V6@fe80::1")
    assert read_allow_list(settings, "0.0.0.0").allows(title, address) is may  # noqa: S104


@pytest.mark.parametrize("text", ["PACS", "PACS@", "@10.0.0.5", "PACS@host.example", "A@1.2.3.4,"])
def test_a_list_that_is_not_in_its_form_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigurationError, match="AE@address"):
        read_allow_list(Settings(calling_aes=text), "127.0.0.1")
