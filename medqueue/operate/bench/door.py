"""The DICOM door against dcmtk's storescp and Orthanc, all fed by dcmtk's storescu.

Durability differs, and the rows say so: ours and Orthanc (SyncStorageArea, its default) answer
when the object is on disk and indexed; storescp writes files and neither syncs nor indexes.

Beside the rate stands the processor time of the receiver: unlike the rate it hardly depends on what
else the machine does, or on its disk.
"""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from medqueue.errors import UnavailableError
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate import ports
from medqueue.operate.bench import Row
from medqueue.operate.roles import console_script
from medqueue.operate.system import child_environment
from medqueue.settings import Settings

_ROUNDS = 5
"""Every case runs so often, the receivers in turn; the best run of each is reported, since whatever
else the machine does can only slow a run down."""

_START_SECONDS = 30.0
_TICK_SECONDS = 0.01
"""The system counts processor time in these."""
_PROGRAM_FOLDERS = "/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin"
"""Not PATH: pynetdicom installs scripts with the names of dcmtk's programs."""


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    objects: int
    bytes_each: int
    associations: int
    nodelay: bool


# Many objects, since storescu takes 0.1 s to begin and to end.
_CASES = (
    _Case("CT 0.5 MB", 500, 524_288, 1, nodelay=True),
    _Case("CT 0.5 MB", 500, 524_288, 4, nodelay=True),
    _Case("DX 10 MB", 20, 10_485_760, 1, nodelay=True),
    _Case("20 KB", 2000, 20_000, 1, nodelay=True),
    _Case("20 KB", 2000, 20_000, 4, nodelay=True),
    _Case("20 KB", 2000, 20_000, 16, nodelay=True),
    _Case("20 KB", 2560, 20_000, 64, nodelay=True),
    _Case("20 KB, stock sender", 100, 20_000, 1, nodelay=False),
)


@dataclass(frozen=True, slots=True)
class _Receiver:
    name: str
    ae_title: str
    port: int
    pid: int = 0
    forks: bool = False
    """Its costs are those of processes which end unseen, and so are not reported."""


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one run took."""

    seconds: float
    cpu_seconds: float
    """Of the receiver and its children."""


def run() -> list[Row]:
    """Measure each case on each receiver that is installed, on one machine and one disk.

    Raises:
        UnavailableError: storescu of dcmtk is not installed.
    """
    storescu = _program("storescu")
    if storescu is None:
        raise UnavailableError("storescu is not installed; install dcmtk (apt install dcmtk)")
    rows: list[Row] = []
    memory = 0.0
    for case in _CASES:
        # Fresh receivers for each case, so that the disk holds the objects of one case at most.
        with tempfile.TemporaryDirectory(prefix="medqueue-bench-") as folder, ExitStack() as stack:
            dimse, mllp = ports.find_free(2)
            settings = Settings(data_dir=Path(folder, "ours"), dimse_port=dimse, mllp_port=mllp)
            environment = child_environment(settings)
            ours = stack.enter_context(_our_door(settings, environment))
            receivers = [ours, *stack.enter_context(_peers(Path(folder), environment))]
            files = _write_files(Path(folder, "sent"), case)
            rows.extend(_rows(case, _measure(storescu, receivers, case, files, environment), ours))
            memory = max(memory, _most_memory(ours))
    return [*rows, Row("the door's memory, the most in any case", round(memory), "MiB")]


def _rows(
    case: _Case, costs: Mapping[_Receiver, Sequence[_Cost]], ours: _Receiver
) -> Iterator[Row]:
    seconds = {each: min(cost.seconds for cost in runs) for each, runs in costs.items()}
    cpu = {each: min(cost.cpu_seconds for cost in runs) for each, runs in costs.items()}
    plural = "s" if case.associations > 1 else ""
    name = f"{case.name}, {case.associations} association{plural}"
    rate = round(case.objects / seconds[ours], 1)
    yield Row(name, rate, "objects/s")
    for receiver, taken in seconds.items():
        if receiver is not ours:
            ratio = round(taken / seconds[ours], 2)
            yield Row(name, rate, "objects/s", ratio, receiver.name)
    spent = round(cpu[ours] / case.objects * 1000, 2)
    for receiver, taken in cpu.items():
        if receiver is not ours and not receiver.forks:
            ratio = round(taken / max(cpu[ours], _TICK_SECONDS), 2)
            yield Row(name, spent, "ms CPU an object", ratio, receiver.name)


def _measure(
    storescu: str,
    receivers: list[_Receiver],
    case: _Case,
    files: list[Path],
    environment: Mapping[str, str],
) -> dict[_Receiver, list[_Cost]]:
    costs: dict[_Receiver, list[_Cost]] = {receiver: [] for receiver in receivers}
    sender_environment = dict(environment) | ({"TCP_NODELAY": "1"} if case.nodelay else {})
    for _ in range(_ROUNDS):
        for receiver in receivers:
            started, cpu_before = time.monotonic(), _cpu_seconds(receiver)
            # Every run sends new instances: a duplicate would be less work.
            senders = [
                subprocess.Popen(
                    [storescu, "+II", "-aec", receiver.ae_title, "127.0.0.1", str(receiver.port)]
                    + [str(file) for file in files[part :: case.associations]],
                    env=sender_environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                for part in range(case.associations)
            ]
            codes = [sender.wait() for sender in senders]
            if any(codes):
                raise UnavailableError(f"{receiver.name} refused objects of {case.name}")
            taken = time.monotonic() - started
            costs[receiver].append(_Cost(taken, _cpu_seconds(receiver) - cpu_before))
    return costs


def _cpu_seconds(receiver: _Receiver) -> float:
    times = psutil.Process(receiver.pid).cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _most_memory(receiver: _Receiver) -> float:
    """Return the MiB that it has had at most; where the system does not tell, what it has now."""
    status = Path(f"/proc/{receiver.pid}/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return float(psutil.Process(receiver.pid).memory_info().rss / 1024**2)


@contextmanager
def _our_door(settings: Settings, environment: Mapping[str, str]) -> Iterator[_Receiver]:
    ledger = open_ledger(settings.ledger_url)
    schema.upgrade(ledger)
    ledger.close()
    receiver = _Receiver("medqueue", settings.ae_title, settings.dimse_port)
    with _running([str(console_script()), "serve", "door"], environment, receiver) as started:
        yield started


@contextmanager
def _peers(folder: Path, environment: Mapping[str, str]) -> Iterator[list[_Receiver]]:
    """Start what is installed."""
    orthanc_port, storescp_port = ports.find_free(2)
    nodelay = dict(environment) | {"TCP_NODELAY": "1"}
    receivers = []
    with ExitStack() as stack:
        if orthanc := _program("Orthanc"):
            receiver = _Receiver("Orthanc, synchronous", "ORTHANC", orthanc_port)
            configuration = _orthanc_configuration(folder, orthanc_port)
            command = [orthanc, str(configuration)]
            receivers.append(stack.enter_context(_running(command, nodelay, receiver)))
        if storescp := _program("storescp"):
            name = "dcmtk storescp, no sync, no index"
            receiver = _Receiver(name, "STORESCP", storescp_port, forks=True)
            (folder / "storescp").mkdir()
            command = [storescp, "--fork", "+xa", "-od", str(folder / "storescp")]
            command.append(str(storescp_port))
            receivers.append(stack.enter_context(_running(command, nodelay, receiver)))
        yield receivers


def _orthanc_configuration(folder: Path, port: int) -> Path:
    storage = folder / "orthanc"
    storage.mkdir()
    configuration = folder / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "StorageDirectory": str(storage),
                "IndexDirectory": str(storage),
                "DicomPort": port,
                "DicomAet": "ORTHANC",
                "HttpServerEnabled": False,
                "SyncStorageArea": True,
                "TcpNoDelay": True,
                "Plugins": [],
            }
        ),
        encoding="utf-8",
    )
    return configuration


@contextmanager
def _running(
    command: list[str], environment: Mapping[str, str], receiver: _Receiver
) -> Iterator[_Receiver]:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_listener(process, receiver)
        yield replace(receiver, pid=process.pid)
    finally:
        process.terminate()
        process.wait()


def _await_listener(process: subprocess.Popen[bytes], receiver: _Receiver) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", receiver.port), timeout=1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise UnavailableError(f"{receiver.name} does not start here")


def _write_files(folder: Path, case: _Case) -> list[Path]:
    folder.mkdir()
    # The header of a real CT image, some 250 elements: receivers index what they find there.
    data_set = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    data_set.StudyInstanceUID = generate_uid()
    data_set.SeriesInstanceUID = generate_uid()
    data_set.PixelData = bytes(range(250)) * (case.bytes_each // 500 * 2)
    data_set.Rows, data_set.Columns = 250, case.bytes_each // 500
    files = []
    for number in range(case.objects):
        data_set.SOPInstanceUID = generate_uid()
        files.append(folder / f"{number}.dcm")
        data_set.save_as(files[-1], enforce_file_format=True)
    return files


def _program(name: str) -> str | None:
    return shutil.which(name, path=_PROGRAM_FOLDERS)
