"""Prepared statements: the same values, rows and errors as by way of SQLAlchemy."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from builders import receive, study_row
from medqueue.ledger.engine import Ledger
from medqueue.ledger.prepared import Prepared
from medqueue.ledger.tables import series, studies

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)

SET = Prepared(
    lambda _: (
        update(studies)
        .where(studies.c.study_instance_uid == bindparam("uid"))
        .values(accession_number="constant", due_at=None, last_instance_at=bindparam("now"))
    )
)
FIND = Prepared(
    lambda _: select(studies.c.priority).where(studies.c.study_instance_uid == bindparam("uid"))
)
INSERT = Prepared(lambda _: insert(series))


def test_values_are_converted_as_their_columns_say(ledger: Ledger) -> None:
    receive(ledger)
    with ledger.write() as connection:
        assert SET.run(connection, uid="1.2.3", now=MOMENT).rowcount == 1
        assert SET.run(connection, uid="9.9", now=MOMENT).rowcount == 0
        assert FIND.run(connection, uid="1.2.3").fetchone() == (study_row(ledger).priority,)
    row = study_row(ledger)
    assert (row.accession_number, row.last_instance_at) == ("constant", MOMENT)


def test_an_error_is_that_of_sqlalchemy_and_tells_no_values(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError) as caught, ledger.write() as connection:
        INSERT.run(
            connection,
            id="an-id",
            study_id="no-such-study",
            series_instance_uid="1.2.3",
            modality="CT",
            received_at=MOMENT,
        )
    assert "1.2.3" not in str(caught.value)
