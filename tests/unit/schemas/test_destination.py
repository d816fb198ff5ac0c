"""Destinations: how the settings name them."""

import pytest

from schemas.destination import Form, parse_destinations


def test_each_form_is_read() -> None:
    pacs, vna, ris, his = parse_destinations(
        "pacs=dicom://PACS@10.0.1.7:104, vna=dicomweb+https://vna/dicom-web/,"
        "ris=webhook+http://ris:8000/results,his=mllp://his:2575"
    )
    assert (pacs.name, pacs.form, pacs.entity) == ("pacs", Form.C_STORE, pacs.entity)
    assert pacs.entity is not None
    assert (pacs.entity.title, pacs.entity.host, pacs.entity.port) == ("PACS", "10.0.1.7", 104)
    assert (vna.form, vna.url) == (Form.STOW, "https://vna/dicom-web")
    assert (his.form, his.url) == (Form.MLLP, "mllp://his:2575")
    assert (ris.form, ris.url) == (Form.WEBHOOK_PLAIN, "http://ris:8000/results")


def test_only_forms_of_dicom_want_images() -> None:
    assert [form for form in Form if form.is_dicom] == [Form.C_STORE, Form.STOW, Form.STOW_PLAIN]


@pytest.mark.parametrize(
    "wrong",
    [
        "dicom://PACS@10.0.1.7:104",
        "PACS=dicom://PACS@10.0.1.7:104",
        "pacs=dicom://10.0.1.7:104",
        "pacs=ftp://host/",
        "his=mllp://host",
        "pacs=webhook+https://",
        "a=webhook+https://x,a=webhook+https://y",
    ],
)
def test_what_is_no_destination_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_destinations(wrong)
