"""`make chaos`: a real system under load and random faults, then the verdict; 1 if it is bad."""

import argparse
import random
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from chaos.campaign import faults, places, verdict
from chaos.campaign.faults import Fault, Saboteur
from chaos.campaign.senders import Senders
from chaos.campaign.verdict import Verdict
from medqueue.operate.bench import describe_machine
from whole_system import System, running_up

_LEASE_SECONDS = 4.0
_QUIET_SECONDS = 1.0
_ACCEPT_SECONDS = 120.0
"""How long senders go on after the last fault, until everything is accepted."""
_SETTLE_SECONDS = 240.0
_DISK_MIB = 400
_MIB_PER_STUDY = 0.25


def main() -> int:
    """Run one campaign."""
    options = _options()
    with ExitStack() as stack:
        size = int(_DISK_MIB + options.studies * _MIB_PER_STUDY)
        disk = stack.enter_context(places.small_disk(size))
        database, values = None, {}
        if options.database == "postgresql":
            database = stack.enter_context(places.postgres())
            values["database_url"] = database.new_database()
        folder = disk.folder.parent / "senders"
        folder.mkdir()
        system = stack.enter_context(
            running_up(
                disk.folder,
                lease_seconds=_LEASE_SECONDS,
                study_quiet_seconds=_QUIET_SECONDS,
                **values,
            )
        )
        return _campaign(options, system, disk, database, folder)


def _campaign(
    options: argparse.Namespace,
    system: System,
    disk: places.Disk,
    database: places.Postgres | None,
    folder: Path,
) -> int:
    seconds = options.minutes * 60
    senders = Senders(
        system,
        folder,
        studies=options.studies,
        texts=options.texts,
        seconds=seconds * 0.9,
        seed=options.seed,
    )
    saboteur = Saboteur(
        system,
        disk,
        database,
        lease_seconds=_LEASE_SECONDS,
        accepted=lambda: len(senders.told.studies) + len(senders.told.texts),
    )
    planned = faults.plan(
        options.seed, seconds=seconds, kills=options.kills, on_postgresql=database is not None
    )
    begin = time.monotonic()

    def say(fault: Fault) -> None:
        told = senders.told
        _progress(
            f"{time.monotonic() - begin:6.1f} s  {len(told.studies):5} studies {len(told.texts):5} "
            f"texts accepted, {sum(told.retries.values())} retries   {fault.kind} {fault.target}"
        )

    senders.start()
    saboteur.run(planned, say)
    saboteur.finish()
    senders.finish(_ACCEPT_SECONDS)
    settled = _settle(system)
    found = verdict.judge(system, senders.told)
    _report(options, found, saboteur, senders, settled)
    return 0 if found.passed and settled is not None else 1


def _settle(system: System) -> float | None:
    """Wait until everything has its end; None if that takes too long."""
    begin = time.monotonic()
    while time.monotonic() - begin < _SETTLE_SECONDS:
        if verdict.is_quiet(system.ledger):
            return time.monotonic() - begin
        time.sleep(0.2)
    _progress(f"not quiet: {verdict.stuck(system.ledger)}")
    return None


def _report(
    options: argparse.Namespace,
    found: Verdict,
    saboteur: Saboteur,
    senders: Senders,
    settled: float | None,
) -> None:
    done = saboteur.done
    hits = sum(count for kind, count in done.items() if kind.startswith(("kill", "freeze")))
    rows: list[tuple[str, object]] = [
        ("database", options.database),
        ("seed", options.seed),
        ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("machine", describe_machine()),
        ("minutes of faults", options.minutes),
        ("accepted studies", found.studies),
        ("accepted texts", found.texts),
        ("given up by their senders", senders.told.unsent),
        ("results", found.results),
        ("lost", len(found.lost)),
        ("doubled", len(found.doubled)),
        ("well-formed and refused for good", found.refused_for_good),
        ("results by status", found.statuses),
        ("errors", found.errors or "none"),
        ("kill -9 and SIGSTOP", hits),
        ("retries by senders", dict(senders.told.retries)),
        ("messages per work", f"mean {found.messages_mean:.2f}, most {found.messages_most}"),
        ("longest gap between results", f"{found.longest_gap:.1f} s"),
        ("quiet after the last fault", "never" if settled is None else f"{settled:.1f} s"),
        ("medqueue audit", f"exit {found.audit_exit}"),
    ]
    out = [f"| {name} | {value} |" for name, value in rows]
    out += ["", "| fault | times |", "| --- | --- |"]
    out += [f"| {kind} | {count} |" for kind, count in sorted(done.items())]
    out += ["", "| recovery after | n | median s | worst s |", "| --- | --- | --- | --- |"]
    out += [
        f"| {kind} | {count} | {median:.1f} | {worst:.1f} |"
        for kind, (count, median, worst) in saboteur.table().items()
    ]
    if found.lost or found.doubled:
        out += ["", f"lost: {found.lost[:20]}", f"doubled: {found.doubled[:20]}", found.audit]
    sys.stdout.write("\n".join(out) + "\n")


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=110, help="kill -9 and SIGSTOP together")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
