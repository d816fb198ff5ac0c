"""`make fuzz`: mutated PDUs and files for as long as it takes; 1 if anything crashed or grew."""

import argparse
import sys
import tempfile
from pathlib import Path

import click
from sqlalchemy import event

from fuzz.campaign import files, pdus
from fuzz.campaign.live import run_live
from medqueue.doors.admission import Admission
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.logs import configure_logs
from medqueue.operate.bench import describe_machine
from medqueue.storage.instances import InstanceStore

_GROWTH_MIB = 16.0
"""What allocators and caches may keep; a leak of a kilobyte a PDU would be six times as much."""


def main() -> int:
    """Run one campaign."""
    options = _options()
    configure_logs("fuzz", "critical")
    click.echo(f"{describe_machine()}, seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="medqueue-fuzz-", dir=options.folder) as name:
        folder = Path(name)
        findings = [
            *_pdus(folder, options.pdus, options.seed),
            *_live(folder, options.live, options.seed),
            *_files(folder, options.files, options.seed),
        ]
    for finding in findings:
        click.echo(f"FINDING: {finding}")
    return 1 if findings else 0


def _pdus(folder: Path, count: int, seed: int) -> list[str]:
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.sqlite3'}")

    @event.listens_for(ledger.engine, "connect")
    def hurry(connection: object, _entry: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # durability is not what is tried here

    schema.upgrade(ledger)
    admission = Admission(
        ledger, InstanceStore(folder / "instances", min_free_mib=0), max_attempts=3
    )
    report = pdus.run_in_process(folder, admission, count=count, seed=seed)
    ledger.close()
    return _told("PDUs in process", report)


def _live(folder: Path, count: int, seed: int) -> list[str]:
    return _told("PDUs to a door process", run_live(folder, count=count, seed=seed + 1))


def _told(what: str, report: pdus.Report) -> list[str]:
    answers = ", ".join(f"{name} {number}" for name, number in report.answers.most_common())
    click.echo(
        f"{report.sent} mutated {what}: {report.seconds:.0f} s, the slowest association "
        f"{report.slowest * 1000:.0f} ms, grown by {report.grown_mib:.1f} MiB; last answers: "
        f"{answers}"
    )
    grown = [f"{what}: {report.grown_mib:.1f} MiB more"] if report.grown_mib > _GROWTH_MIB else []
    return [*grown, *report.left_over, *report.faults]


def _files(folder: Path, count: int, seed: int) -> list[str]:
    report = files.run(folder, count=count, seed=seed)
    outcomes = ", ".join(f"{name} {number}" for name, number in sorted(report.outcomes.items()))
    grown = ", ".join(f"{name} by {mib:.1f} MiB" for name, mib in report.grown_mib.items())
    click.echo(
        f"{report.sent} mutated files: {report.seconds:.0f} s, the slowest "
        f"{report.slowest * 1000:.0f} ms, grown: {grown}; decoders that died: "
        f"{len(report.deaths)}; {outcomes}"
    )
    for death in sorted(set(report.deaths)):
        click.echo(f"  {report.deaths.count(death)} x {death}")
    # A decoder keeps what its largest picture took.
    return report.faults + (
        [f"the worker grew: {grown}"] if report.grown_mib["worker"] > _GROWTH_MIB else []
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--pdus", type=int, default=100_000, help="in this process")
    parser.add_argument("--live", type=int, default=5_000, help="PDUs to `medqueue serve door`")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=20260301)
    parser.add_argument("--folder", type=Path, help="where scratch files go; memory is fastest")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
