"""The checks of `medqueue doctor`: each looks at one thing, and says how to mend it."""

import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from medqueue.errors import ConfigurationError, MedqueueError, PackageError
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate import data_folder, ports, registration, valkey
from medqueue.operate.redis_client import connect
from medqueue.settings import Settings
from medqueue.storage.packages import verify

_MIB = 1024 * 1024
_SCARCE = 4
"""So many times the least free disk is the point at which to warn."""


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    verdict: Verdict
    detail: str
    cure: str | None = None


def python(_: Settings) -> Iterator[Finding]:
    """Name the Python at work; an older one could not have installed medqueue."""
    version = f"Python {platform.python_version()} at {sys.prefix}"
    yield Finding("python", Verdict.OK, version)


def packages(_: Settings) -> Iterator[Finding]:
    """Look whether our three packages lie side by side: a folder `schemas/` could shadow ours."""
    homes = {}
    for name in ("schemas", "medqueue", "workers"):
        spec = importlib.util.find_spec(name)
        homes[name] = Path(spec.origin).parents[1] if spec and spec.origin else None
    if len(set(homes.values())) == 1 and None not in homes.values():
        yield Finding("packages", Verdict.OK, f"all three in {homes['medqueue']}")
        return
    found = ", ".join(f"{name} in {home or 'no place'}" for name, home in homes.items())
    cure = "start the command `medqueue` of its own environment, not `python -m` in a folder"
    yield Finding("packages", Verdict.FAIL, found, cure)


def folder(settings: Settings) -> Iterator[Finding]:
    """Look whether the data folder is ours alone, or can be made."""
    path = settings.data_dir
    if path.exists():
        fault = data_folder.fault(settings)
        if fault is None:
            yield Finding("data folder", Verdict.OK, str(path))
        else:
            what, _, cure = fault.partition("; ")
            yield Finding("data folder", Verdict.FAIL, what, cure)
    else:
        yield Finding("data folder", Verdict.OK, f"{path} will be made at the first start")


def disk(settings: Settings) -> Iterator[Finding]:
    """Compare the free disk with what the doors need to accept."""
    place = settings.data_dir
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free // _MIB
    detail = f"{free:,} MiB free; the doors close below {settings.min_free_mib:,}"
    cure = "free some space, or set MEDQUEUE_DATA_DIR to a larger disk"
    if free < settings.min_free_mib:
        yield Finding("disk", Verdict.FAIL, detail, cure)
    elif free < _SCARCE * settings.min_free_mib:
        yield Finding("disk", Verdict.WARN, detail, cure)
    else:
        yield Finding("disk", Verdict.OK, detail)


def doors(settings: Settings) -> Iterator[Finding]:
    """Look whether the ports are free, or, while `medqueue up` runs, whether ours answer."""
    if not data_folder.is_held(settings):
        faults = list(ports.busy(settings))
        for fault in faults:
            what, _, cure = fault.partition("; ")
            yield Finding("ports", Verdict.FAIL, what, cure)
        if not faults:
            numbers = ", ".join(str(getattr(settings, name)) for name in ports.PORT_SETTINGS)
            yield Finding("ports", Verdict.OK, f"{numbers} are free")
        return
    for name in ports.PORT_SETTINGS:
        port = getattr(settings, name)
        if ports.accepts_connections(settings, port):
            yield Finding("ports", Verdict.OK, f"{name} {port} is ours and answers")
        else:
            log = data_folder.logs_folder(settings)
            cure = f"see the logs in {log}"
            yield Finding("ports", Verdict.FAIL, f"{name} {port} does not answer", cure)


def access(settings: Settings) -> Iterator[Finding]:
    """Look whether doors that others can reach are locked."""
    if settings.loopback_only:
        yield Finding("access", Verdict.OK, "only this machine reaches the doors")
        return
    for door, locks in (
        ("HTTP", ("api_tokens",)),
        ("DICOM", ("calling_aes", "tls_client_ca")),
        ("HL7", ("hl7_senders", "hl7_tls_client_ca")),
        ("Flower", ("flower_login",)),
    ):
        if all(getattr(settings, lock) is None for lock in locks):
            what = f"the {door} door would be open to the network ({settings.bind})"
            names = " or ".join(f"MEDQUEUE_{lock.upper()}" for lock in locks)
            cure = f"set {names}, or MEDQUEUE_BIND=127.0.0.1"
            yield Finding("access", Verdict.FAIL, what, cure)


def broker(settings: Settings) -> Iterator[Finding]:
    """Look for the broker: the one set, or a program to embed."""
    if settings.redis_url is None:
        yield from _embedded_broker(settings)
        return
    try:
        with connect(settings) as client:
            client.ping()
    except ConfigurationError as error:
        yield Finding("broker", Verdict.FAIL, *_what_and_cure(error, ": "))
    except (RedisError, OSError) as error:
        what = f"the server of MEDQUEUE_REDIS_URL does not answer ({type(error).__name__})"
        cure = "start it, correct the URL, or leave MEDQUEUE_REDIS_URL unset for an embedded server"
        yield Finding("broker", Verdict.FAIL, what, cure)
    else:
        yield Finding("broker", Verdict.OK, "the server of MEDQUEUE_REDIS_URL answers")


def _embedded_broker(settings: Settings) -> Iterator[Finding]:
    try:
        program = valkey.find_program()
    except ConfigurationError as error:
        yield Finding("broker", Verdict.FAIL, *_what_and_cure(error, ": "))
        return
    detail = f"embedded, from {program.source}"
    if data_folder.is_held(settings) and not valkey.answers(settings):
        cure = f"see {data_folder.logs_folder(settings) / 'valkey.log'}"
        yield Finding("broker", Verdict.FAIL, f"{detail}: does not answer", cure)
    else:
        yield Finding("broker", Verdict.OK, detail)


def ledger(settings: Settings) -> Iterator[Finding]:
    """Look whether the ledger can be reached and has the schema of this version."""
    if settings.database_url is None and not (settings.data_dir / "ledger.sqlite3").exists():
        yield Finding("ledger", Verdict.OK, "SQLite, will be made at the first start")
        return
    try:
        opened = open_ledger(settings.ledger_url)
        try:
            has, wants = schema.current(opened)
        finally:
            opened.close()
    except ConfigurationError as error:
        yield Finding("ledger", Verdict.FAIL, *_what_and_cure(error, ": "))
    except SQLAlchemyError as error:
        what = f"the database does not answer ({type(error).__name__})"
        cure = "start it, or correct MEDQUEUE_DATABASE_URL"
        yield Finding("ledger", Verdict.FAIL, what, cure)
    else:
        if has == wants:
            yield Finding("ledger", Verdict.OK, f"schema {wants}")
        else:
            what = f"the schema is {has or 'missing'}, this version wants {wants}"
            yield Finding("ledger", Verdict.FAIL, what, "run: medqueue db upgrade")


def gpu(_: Settings) -> Iterator[Finding]:
    """Say what image models run on."""
    import torch

    if torch.cuda.is_available():
        yield Finding("gpu", Verdict.OK, torch.cuda.get_device_name())
    elif shutil.which("nvidia-smi"):
        what = "this machine has an NVIDIA driver, but PyTorch finds no GPU; models run on the CPU"
        cure = "install the PyTorch build for CUDA (pytorch.org), and check `nvidia-smi`"
        yield Finding("gpu", Verdict.WARN, what, cure)
    else:
        yield Finding("gpu", Verdict.OK, "none: models run on the CPU")


def models(_: Settings) -> Iterator[Finding]:
    """Verify the digest of every model package that is installed."""
    seen = False
    for package in registration.installed_packages():
        seen = True
        try:
            manifest = verify(package)
        except PackageError as error:
            yield Finding("models", Verdict.FAIL, *_what_and_cure(error, "; "))
        else:
            detail = f"{manifest.name} {manifest.version}: digest verified"
            yield Finding("models", Verdict.OK, detail)
    if not seen:
        cure = "install medqueue with its bundled models: pip install ."
        yield Finding("models", Verdict.WARN, "no model is installed", cure)


def _what_and_cure(error: MedqueueError, separator: str) -> tuple[str, str | None]:
    """Split the message of an error of ours, which names the cure last."""
    what, _, cure = error.detail.partition(separator)
    return what, cure or None
