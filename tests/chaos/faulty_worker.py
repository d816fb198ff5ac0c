"""A real `medqueue worker --role cpu` whose texts can do harm: the words in them say what.

A program, not a test. Its children come by fork, and so with the same changed function.
"""

import os
import sys
import time
from pathlib import Path

from medqueue.cli.serve import worker
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import reports
from schemas.manifest import Manifest
from schemas.result import Outcome
from schemas.work import Claim
from workers import diagnose_report as module
from workers.models.rules import RuleLabeler

_honest = module.diagnose_report


def _harmful(ledger: Ledger, claim: Claim, manifest: Manifest, labeler: RuleLabeler) -> Outcome:
    with ledger.read() as connection:
        text = connection.execute(
            reports.select().where(reports.c.id == claim.subject_id)
        ).one().text  # fmt: skip
    if "poison" in text:
        os._exit(66)
    gate = Path(sys.argv[1])
    while "slow" in text and not gate.exists():
        time.sleep(0.02)
    return _honest(ledger, claim, manifest, labeler)


if __name__ == "__main__":
    module.diagnose_report = _harmful
    worker(["--role", "cpu"])
