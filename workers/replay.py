"""Deriving a result again from what is stored, and telling whether it is still the same.

On the machine, with the versions and with the threads of the receipt the findings must be equal to
the bit. Elsewhere floating point may differ in the last places, and a tolerance holds.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Row, select

from medqueue.errors import InstanceLostError, NotFoundError
from medqueue.ledger import models, planning, schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.ledger.tables import reports, results
from medqueue.settings import Settings, load_settings
from medqueue.storage.instances import InstanceStore
from schemas.finding import Finding
from schemas.manifest import Engine
from schemas.receipt import Receipt
from schemas.result import ResultKind
from workers.inference.conclusion import conclude
from workers.inference.receipt import receipt_of
from workers.models.lexicon import parse_lexicon
from workers.models.package import Package
from workers.models.rules import RuleLabeler
from workers.models.shelf import take_package
from workers.preprocess.isolated import IsolatedPreparation, Nursery
from workers.preprocess.text import split

TOLERANCE = 1e-4
"""Of a probability in another environment: ten times what a batch or a vector unit may change."""
_IDENTITY = ("input", "preparation", "weights", "settings")


@dataclass(frozen=True, slots=True)
class Replay:
    """What came out when a result was derived again."""

    result_id: str
    same_environment: bool
    """Versions, device and threads are those of the receipt: equality to the bit was asked for."""
    differences: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether the result is what it was."""
        return not self.differences


def replay(ledger: Ledger, settings: Settings, result_id: str) -> Replay:
    """Derive a result again.

    Raises:
        NotFoundError: there is no such result, or none that a model has come to.
        InstanceLostError: a file that it was derived from is gone.
        PackageError: its model version is not on this machine as it was registered.
    """
    with ledger.read() as connection:
        row = connection.execute(select(results).where(results.c.id == result_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"no result has the id {result_id}; see: medqueue results --json")
        if row.receipt is None:
            raise NotFoundError(f"result {result_id} has no receipt: no model came to a conclusion")
        manifest = models.find(connection, row.model_name, row.model_version)
    if manifest.engine is Engine.COMPARISON:
        raise NotFoundError(f"result {result_id} compares two others: replay those")
    then = Receipt.model_validate(row.receipt)
    package = take_package(manifest, settings.models_dir)
    _use_threads(then)
    if row.kind == ResultKind.TEXT:
        digest, found = _read_again(ledger, row, package)
    else:
        digest, found = _look_again(ledger, settings, row, package)
    now = receipt_of(manifest, digest)
    same = then.same_environment(now)
    stated = [Finding.model_validate(finding) for finding in row.findings]
    differences = [
        *(
            f"{name}: another one"
            for name in _IDENTITY
            if getattr(then, name) != getattr(now, name)
        ),
        *_differences(stated, found, 0.0 if same else TOLERANCE),
    ]
    return Replay(result_id, same, tuple(differences))


def _use_threads(receipt: Receipt) -> None:
    """Share sums out as it was done then: the order of additions changes their last bits."""
    if receipt.threads is not None:
        import torch

        torch.set_num_threads(receipt.threads)


def _read_again(ledger: Ledger, row: Row[Any], package: Package) -> tuple[str, tuple[Finding, ...]]:
    with ledger.read() as connection:
        report = connection.execute(
            select(reports.c.text, reports.c.language, reports.c.sha256).where(
                reports.c.id == row.subject_id
            )
        ).one()
    document = split(report.text, report.language)
    if package.manifest.engine is Engine.RULES:
        return report.sha256, RuleLabeler(parse_lexicon(package.weights)).label(document)
    from workers.inference.reader import TextReader  # torch

    return report.sha256, TextReader(package).label(document)


def _look_again(
    ledger: Ledger, settings: Settings, row: Row[Any], package: Package
) -> tuple[str, tuple[Finding, ...]]:
    from workers.inference.session import Session  # torch

    manifest = package.manifest
    if manifest.preparation is None:
        raise AssertionError("a session needs it, and a session gave this result")
    with ledger.read() as connection:
        kept = planning.kept_instances(connection, row.subject_id)
    used = [one for one in kept if one.sop_instance_uid in row.sop_instance_uids]
    store = InstanceStore(settings.instances_dir, min_free_mib=0)
    paths = [store.path_of(one.path) for one in used]
    digest = planning.digest_of(
        _digest(path, one.size) for path, one in zip(paths, used, strict=True)
    )
    with ExitStack() as stack:
        nursery = Nursery()
        stack.callback(nursery.stop)
        prepare = stack.enter_context(closing(IsolatedPreparation(nursery)))
        images = prepare(paths, manifest.preparation, manifest.table)
    return digest, conclude(images, manifest, Session(package)).findings


def _digest(path: Path, size: int) -> str:
    """Return the digest of the data set: the end of the file, after the meta information."""
    try:
        with path.open("rb") as file:
            file.seek(path.stat().st_size - size)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InstanceLostError(
            f"a file of the result cannot be read ({error.strerror}); mount or restore the "
            "instance store"
        ) from None


def _differences(
    stated: Sequence[Finding], found: Sequence[Finding], tolerance: float
) -> Iterator[str]:
    if [finding.label for finding in stated] != [finding.label for finding in found]:
        yield "findings: other labels"
        return
    for then, now in zip(stated, found, strict=True):
        if then.probability is None or now.probability is None:
            if (then.presence, then.evidence) != (now.presence, now.evidence):
                yield f"{then.label}: then {then.presence}, now {now.presence}, or other evidence"
        elif abs(then.probability - now.probability) > tolerance:
            yield f"{then.label}: then {then.probability!r}, now {now.probability!r}"


@click.command(epilog="Example: medqueue replay 0197c1f5a7e24d5c8f3b6a1d2e4c9b07")
@click.argument("result_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(result_id: str, *, as_json: bool) -> None:
    """Derive a result again from the stored images or text; exit with 1 if it differs.

    Where versions, processor and threads are those of its receipt, it must be equal to the bit;
    elsewhere a probability may differ by 0.0001.
    """
    settings = load_settings()
    with closing(open_ledger(settings.ledger_url)) as ledger:
        schema.require_current(ledger)
        replayed = replay(ledger, settings, result_id)
    if as_json:
        click.echo(json.dumps({**asdict(replayed), "equal": replayed.is_equal}))
    else:
        how = "to the bit" if replayed.same_environment else f"within {TOLERANCE:g}"
        where = "the same" if replayed.same_environment else "another"
        verdict = "equal" if replayed.is_equal else "DIFFERENT"
        click.echo(f"{verdict}; compared {how}, in {where} environment")
        for difference in replayed.differences:
            click.echo(f"  {difference}")
    sys.exit(0 if replayed.is_equal else 1)
