"""Senders as a hospital has them: they try again until they are told that the input is accepted.

What they were told is written down here, and is all that the verdict believes.
"""

import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pydicom
from pydicom.uid import generate_uid

from medqueue.operate import demo_inputs
from whole_system import System

STORESCU = "/usr/bin/storescu"
"""Not from PATH: pynetdicom installs a script of this name."""
_ANSWER = "Received Store Response ("
_MAY_PASS = ("Success", "Refused: OutOfResources", "no answer")
"""Answers after which a PACS is done or tries again; after any other it gives up."""
_EVERY_NTH_STUDY_HAS_THREE_IMAGES = 10
_SHRINK = 4


@dataclass
class Told:
    """What the senders were told. Guarded by its lock."""

    studies: dict[str, set[str]] = field(default_factory=dict)
    """Study Instance UID -> SOP Instance UIDs that got status 0x0000."""
    texts: dict[str, set[str]] = field(default_factory=dict)
    """Our report_id -> ids that came with a 202; one, whatever was retried."""
    retries: Counter[str] = field(default_factory=Counter)
    unsent: int = 0
    refused_for_good: int = 0
    """Well-formed inputs that a door told its sender never to send again: lost studies."""
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Study:
    uid: str
    files: dict[Path, str]
    """File -> SOP Instance UID."""


class ImageFactory:
    """Writes chest studies quickly: one phantom, new UIDs and a little noise for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        now = datetime.now(UTC)
        self._template = pydicom.dcmread(
            demo_inputs.single_chest(folder, 0, now=now).files[0], defer_size=None
        )
        self._pixels = self._template.pixel_array[::_SHRINK, ::_SHRINK].copy()
        self._lock = threading.Lock()

    def write(self, number: int, images: int) -> Study:
        study = generate_uid(prefix=None)
        series = generate_uid(prefix=None)
        files = {}
        with self._lock:
            for image in range(images):
                one = self._template
                one.StudyInstanceUID, one.SeriesInstanceUID = study, series
                one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid(
                    prefix=None
                )
                one.PatientID, one.AccessionNumber = f"CHAOS{number:05}", f"A-CHAOS{number:05}"
                one.InstanceNumber = image + 1
                pixels = self._pixels ^ np.uint16(number % 7 + image)
                one.Rows, one.Columns = pixels.shape
                one.PixelData = pixels.tobytes()
                path = self._folder / f"{number}-{image}.dcm"
                one.save_as(path, enforce_file_format=True)
                files[path] = str(one.SOPInstanceUID)
        return Study(str(study), files)


class Senders:
    """Threads that send all studies and texts, spread over the time of the campaign."""

    def __init__(
        self, system: System, folder: Path, *, studies: int, texts: int, seconds: float, seed: int
    ) -> None:
        self.told = Told()
        self._system = system
        self._factory = ImageFactory(folder)
        self._give_up = threading.Event()
        self._threads: list[threading.Thread] = []
        self._begin = time.monotonic()
        self._seed = seed
        self._add(self._send_study, studies, seconds, threads=4)
        self._add(self._send_text, texts, seconds, threads=3)

    def start(self) -> None:
        self._begin = time.monotonic()
        for thread in self._threads:
            thread.start()

    def finish(self, seconds: float) -> None:
        """Wait until everything is accepted; what is not by then is given up by its sender."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._give_up.set()
        for thread in self._threads:
            thread.join()

    def _add(
        self, send: Callable[[int, random.Random], None], count: int, seconds: float, threads: int
    ) -> None:
        numbers = iter(range(count))
        lock = threading.Lock()

        def loop(seed: int) -> None:
            rng = random.Random(seed)  # noqa: S311 - a reproducible campaign, no secret
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                due = self._begin + seconds * number / count
                self._give_up.wait(max(0.0, due - time.monotonic()))
                send(number, rng)

        self._threads += [
            threading.Thread(target=loop, args=[self._seed + index]) for index in range(threads)
        ]

    def _send_study(self, number: int, rng: random.Random) -> None:
        several = number % _EVERY_NTH_STUDY_HAS_THREE_IMAGES == 0
        study = self._factory.write(number, 3 if several else 1)
        missing = set(study.files)
        while missing:
            # A PACS sends what is missing, or, now and then, all of it again.
            again = set(study.files) if rng.random() < 0.3 else missing
            answers = self._store(sorted(again))
            accepted = {path for path, answer in answers.items() if answer == "Success"}
            with self.told.lock:
                self.told.refused_for_good += sum(
                    answer not in _MAY_PASS for answer in answers.values()
                )
                if accepted:
                    uids = {study.files[path] for path in accepted}
                    self.told.studies.setdefault(study.uid, set()).update(uids)
                missing -= accepted
                for answer in {answers[path] for path in missing & again}:
                    self.told.retries[f"C-STORE {answer}"] += 1
            if missing and self._give_up.wait(rng.uniform(0.2, 1.5)):
                with self.told.lock:
                    self.told.unsent += 1
                break
        for path in study.files:
            path.unlink()

    def _store(self, files: list[Path]) -> dict[Path, str]:
        """Run storescu and return what it was told about each file."""
        settings = self._system.settings
        words = [STORESCU, "-v", "-to", "5", "-ta", "10", "-td", "20", "-aec", settings.ae_title]
        words += [settings.bind, str(settings.dimse_port), *map(str, files)]
        ended = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "TCP_NODELAY": "1"},
        )
        answers, current = dict.fromkeys(files, "no answer"), None
        for line in (ended.stdout + ended.stderr).splitlines():
            if "Sending file: " in line:
                current = Path(line.split("Sending file: ")[1].strip())
            elif _ANSWER in line and current is not None:
                answers[current] = line.split(_ANSWER)[1].rstrip(")").strip()
        return answers

    def _send_text(self, number: int, rng: random.Random) -> None:
        name = f"CHAOS-T{number:05}"
        body = {
            "text": f"Report {number}. No pneumothorax. Possible small left effusion.",
            "language": "en",
            "report_id": name,
            "urgent": rng.random() < 0.05,
        }
        headers = {"Idempotency-Key": f"{self._seed}-{number}-{os.getpid()}"}
        while True:
            try:
                answer = httpx.post(
                    f"{self._system.url}/reports", json=body, headers=headers, timeout=8
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                with self.told.lock:
                    self.told.texts.setdefault(name, set()).add(answer.json()["id"])
                return
            reason = "no answer" if answer is None else str(answer.status_code)
            with self.told.lock:
                self.told.retries[f"HTTP {reason}"] += 1
                self.told.refused_for_good += reason not in {"no answer", "503"}
            if self._give_up.wait(rng.uniform(0.2, 1.5)):
                with self.told.lock:
                    self.told.unsent += 1
                return
