"""`medqueue fetch`: have an archive send studies, to back-fill what was missed."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from medqueue.cli.ae_title import ae_title
from medqueue.cli.transfer_bar import transfer_bar
from medqueue.doors.admission import Admission
from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.operate.archives import Archive, Wanted
from medqueue.operate.dicomweb import DicomWeb
from medqueue.operate.fetch import Fetcher, FetchSummary
from medqueue.operate.pacs import Pacs
from medqueue.settings import Settings, load_settings
from medqueue.storage.instances import InstanceStore
from schemas.application_entity import ApplicationEntity, parse_application_entity
from schemas.identifiers import is_uid

CALLING_AE = "MEDQUEUE_FETCH"
_DATE = re.compile(r"\d{8}(-(\d{8})?)?|-\d{8}")


def _uids(
    _context: click.Context, parameter: click.Parameter, uids: tuple[str, ...]
) -> tuple[str, ...]:
    if not all(is_uid(uid) for uid in uids):
        raise click.BadParameter("a Study Instance UID is digits and dots", param=parameter)
    return uids


def _date(_context: click.Context, parameter: click.Parameter, date: str | None) -> str | None:
    if date is not None and _DATE.fullmatch(date) is None:
        raise click.BadParameter("give YYYYMMDD or YYYYMMDD-YYYYMMDD", param=parameter)
    return date


def _pacs(
    _context: click.Context, parameter: click.Parameter, text: str | None
) -> ApplicationEntity | None:
    if text is None:
        return None
    try:
        return parse_application_entity(text)
    except ValueError:
        raise click.BadParameter("give AE@host:port", param=parameter) from None


@click.command()
@click.argument("studies", nargs=-1, callback=_uids, metavar="[STUDY_INSTANCE_UID]...")
@click.option("--pacs", callback=_pacs, metavar="AE@HOST:PORT", help="Ask by C-FIND and C-MOVE.")
@click.option("--dicomweb", metavar="URL", help="Ask by QIDO-RS and WADO-RS.")
@click.option("--accession", metavar="NUMBER", help="Studies of this accession number.")
@click.option("--date", callback=_date, metavar="DATES", help="YYYYMMDD or YYYYMMDD-YYYYMMDD.")
@click.option("--modality", metavar="CODE", help="Only studies with a series of it, such as CT.")
@click.option(
    "--calling",
    callback=ae_title,
    default=CALLING_AE,
    show_default=True,
    help="Our AE title for C-FIND.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the bearer token for --dicomweb.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def fetch(
    *,
    studies: tuple[str, ...],
    pacs: ApplicationEntity | None,
    dicomweb: str | None,
    accession: str | None,
    date: str | None,
    modality: str | None,
    calling: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Fetch studies from an archive: named by UID, or found by accession number or date.

    By --pacs the archive sends to our DICOM door, which must run, and must know its address.
    By --dicomweb this command reads and stores by itself. What is here already is not sent again.
    Exits with 1 if something that was wanted has not come.

    Example: medqueue fetch --pacs ORTHANC@10.0.0.5:4242 --date 20260301-20260307 --modality CT
    """
    if (pacs is None) == (dicomweb is None):
        raise click.UsageError("give either --pacs or --dicomweb")
    if not (studies or accession or date):
        raise click.UsageError("say which studies: by UID, --accession or --date")
    settings = load_settings()
    wanted = Wanted(studies, accession, date, modality)
    ledger = open_ledger(settings.ledger_url)
    schema.require_current(ledger)
    with _archive(
        settings, ledger, pacs=pacs, dicomweb=dicomweb, calling=calling, token_file=token_file
    ) as archive:
        summary = _fetch(archive, ledger, wanted, silent=as_json)
    ledger.close()
    _print_json(summary) if as_json else _print(summary)
    sys.exit(1 if summary.incomplete or (accession and not summary.studies) else 0)


@contextmanager
def _archive(
    settings: Settings,
    ledger: Ledger,
    *,
    pacs: ApplicationEntity | None,
    dicomweb: str | None,
    calling: str,
    token_file: Path | None,
) -> Iterator[Archive]:
    if pacs is not None:
        yield Pacs(
            pacs.host,
            pacs.port,
            ae_title=pacs.title,
            calling_ae=calling,
            destination=settings.ae_title,
        )
        return
    store = InstanceStore(settings.instances_dir, min_free_mib=settings.min_free_mib)
    admission = Admission(
        ledger, store, max_attempts=settings.max_attempts, max_backlog=settings.max_backlog
    )
    token = token_file.read_text(encoding="utf-8").strip() if token_file else None
    archive = DicomWeb(str(dicomweb), admission, token=token)
    try:
        yield archive
    finally:
        archive.close()


def _fetch(archive: Archive, ledger: Ledger, wanted: Wanted, *, silent: bool) -> FetchSummary:
    with transfer_bar("fetching", silent=silent) as on_progress:
        fetcher = Fetcher(archive, ledger, clock=lambda: datetime.now(UTC), on_progress=on_progress)
        return fetcher.fetch(wanted)


def _print_json(summary: FetchSummary) -> None:
    content = {
        "studies": [asdict(study) for study in summary.studies],
        "incomplete": len(summary.incomplete),
    }
    click.echo(json.dumps(content))


def _print(summary: FetchSummary) -> None:
    came = sum(study.came for study in summary.studies)
    whole = len(summary.studies) - len(summary.incomplete)
    click.echo(f"{whole} of {len(summary.studies)} studies are here, {came} objects came now")
    for study in summary.incomplete:
        expected = "?" if study.expected is None else study.expected
        click.secho(
            f"{study.study_instance_uid}: {study.here} of {expected} objects: {study.reason}",
            fg="red",
            err=True,
        )
