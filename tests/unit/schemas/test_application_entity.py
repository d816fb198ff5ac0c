"""Application Entities: titles of VR AE, and addresses as settings and commands name them."""

import pytest

from schemas.application_entity import ApplicationEntity, is_ae_title, parse_application_entity


@pytest.mark.parametrize("title", ["A", "CT 1", "A" * 16, "PACS@HOME"])
def test_titles_of_the_standard_pass(title: str) -> None:
    assert is_ae_title(title)


@pytest.mark.parametrize("title", ["", "A" * 17, "A\\B", "A\n", "\u653e\u5c04"])
def test_other_texts_are_no_titles(title: str) -> None:
    assert not is_ae_title(title)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("CT1@10.0.1.7:104", ApplicationEntity("CT1", "10.0.1.7", 104)),
        (" CT 1@ct.example:11112 ", ApplicationEntity("CT 1", "ct.example", 11112)),
        ("CT1@[fd00::7]:104", ApplicationEntity("CT1", "fd00::7", 104)),
    ],
)
def test_an_address_has_title_host_and_port(text: str, peer: ApplicationEntity) -> None:
    assert parse_application_entity(text) == peer


@pytest.mark.parametrize(
    "text",
    ["", "CT1", "CT1@host", "@host:104", "CT1@:104", "CT1@host:0", "CT1@host:65536", "CT1@host:x"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"AE@host:port|no such port"):
        parse_application_entity(text)
