"""Documents that came with reports, such as PDFs: handed out as they came, and never opened."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from medqueue.errors import NotFoundError
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import documents

_COLUMNS = (documents.c.number, documents.c.media_type, documents.c.size, documents.c.sha256)


class KeptDocument(BaseModel):
    """A document beside the text of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(description="Within the report, from 1; the last part of its address.")
    media_type: str = Field(
        description="`application/pdf` where it begins as one, else `application/octet-stream`."
    )
    size: int = Field(description="In bytes.")
    sha256: str


def documents_of_report(connection: Connection, id_: str) -> Sequence[KeptDocument]:
    """Return what is known of the documents of one version of a report, by our id."""
    found = connection.execute(
        select(*_COLUMNS).where(documents.c.report_id == id_).order_by(documents.c.number)
    )
    return [KeptDocument.model_validate(dict(row)) for row in found.mappings()]


def read_document(ledger: Ledger, id_: str, number: int) -> tuple[KeptDocument, bytes]:
    """Return one document of one version of a report, by our id.

    Raises:
        NotFoundError: there is none.
    """
    statement = select(*_COLUMNS, documents.c.content).where(
        documents.c.report_id == id_, documents.c.number == number
    )
    with ledger.read() as connection:
        row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise NotFoundError("no such document is known; `GET /reports/{id}` lists those there are")
    known = {name: value for name, value in row.items() if name != "content"}
    return KeptDocument.model_validate(known), bytes(row["content"])
