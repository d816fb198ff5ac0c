"""Preparation apart: a hostile file costs its own decoder, and nothing beside it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydicom.data import get_testdata_file

from dicom_files import a_jpeg_ls_file, an_image_data_set, saved
from hostile_nursery import COMMAND, CRASH, HANG, KILL
from medqueue.errors import (
    DecoderLostError,
    NotAVolumeError,
    UndecodableError,
    UnsupportedInputError,
)
from schemas.manifest import ImagePreparation
from waiting import wait_until
from workers.preprocess.isolated import IsolatedPreparation, Nursery
from workers.preprocess.series import prepare_series

PREPARATION = ImagePreparation(size=(28, 28), mean=0.5, std=0.25)
GOOD = 200

keeps_memory_limits = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux keeps a limit on the memory of a process"
)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    started = Nursery(COMMAND)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def prepare(nursery: Nursery) -> Iterator[IsolatedPreparation]:
    preparation = IsolatedPreparation(nursery, seconds=0.5)
    yield preparation
    preparation.close()


def an_image(folder: Path, behaviour: int = GOOD, size: int = 40) -> Path:
    return a_jpeg_ls_file(folder, np.full((size, size), behaviour, dtype=np.uint16))


def decoders(nursery: Nursery) -> list[psutil.Process]:
    return psutil.Process(nursery.pid).children()


def refused(prepare: IsolatedPreparation, path: Path) -> None:
    with pytest.raises(UndecodableError):
        prepare([path], PREPARATION)


def test_what_is_prepared_apart_is_what_is_prepared_here(prepare: IsolatedPreparation) -> None:
    name = get_testdata_file("CT_small.dcm", download=False)
    assert name is not None
    paths = [Path(name), Path(name)]

    np.testing.assert_array_equal(prepare(paths, PREPARATION), prepare_series(paths, PREPARATION))


def test_the_slices_of_a_volume_are_prepared_together(
    prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    paths = [
        saved(
            tmp_path,
            an_image_data_set(
                np.full((8, 8), level, dtype=np.uint16),
                ImagePositionPatient=[0, 0, level],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                PixelSpacing=[1, 1],
            ),
        )
        for level in (30, 10, 20)
    ]
    volume = ImagePreparation(size=(4, 4), mean=0, std=1, takes="volume", window=(20.5, 101))

    prepared = prepare(paths, volume)

    assert np.diff(prepared[:, 0, 0, 0]).min() > 0
    with pytest.raises(NotAVolumeError, match="one slice"):
        prepare(paths[:1], volume)


def test_one_decoder_serves_one_file_after_another(
    nursery: Nursery, prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    prepare([an_image(tmp_path)], PREPARATION)
    wait_until(lambda: len(decoders(nursery)) == 1)  # those of other tests end by themselves
    (decoder,) = decoders(nursery)

    for _ in range(2):
        prepare([an_image(tmp_path)], PREPARATION)

    assert decoders(nursery) == [decoder]


def test_refusals_come_back_as_they_were_raised(
    prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    nothing = tmp_path / "empty.dcm"
    nothing.write_bytes(b"")
    colour = get_testdata_file("examples_rgb_color.dcm", download=False)
    assert colour is not None

    with pytest.raises(UndecodableError, match="header"):
        prepare([nothing], PREPARATION)
    with pytest.raises(UnsupportedInputError, match="colour"):
        prepare([Path(colour)], PREPARATION)


@keeps_memory_limits
def test_a_picture_beyond_the_memory_of_a_decoder_is_undecodable(
    prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    bomb = an_image(tmp_path, size=8000)
    assert bomb.stat().st_size < 100_000

    with pytest.raises(UndecodableError, match="memory"):
        prepare([bomb], PREPARATION)
    assert prepare([an_image(tmp_path)], PREPARATION).shape == (1, 1, 28, 28)


def test_a_decoder_that_never_returns_is_ended_at_its_deadline(
    prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    with pytest.raises(UndecodableError, match="in time"):
        prepare([an_image(tmp_path, HANG)], PREPARATION)
    assert prepare([an_image(tmp_path)], PREPARATION).shape == (1, 1, 28, 28)


def test_a_decoder_that_crashes_says_on_what(prepare: IsolatedPreparation, tmp_path: Path) -> None:
    with pytest.raises(UndecodableError, match="SIGSEGV"):
        prepare([an_image(tmp_path, CRASH)], PREPARATION)
    assert prepare([an_image(tmp_path)], PREPARATION).shape == (1, 1, 28, 28)


def test_a_decoder_that_is_killed_is_no_fault_of_the_file(
    prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    with pytest.raises(DecoderLostError):
        prepare([an_image(tmp_path, KILL)], PREPARATION)
    assert prepare([an_image(tmp_path)], PREPARATION).shape == (1, 1, 28, 28)


def test_a_wait_that_is_broken_off_leaves_no_answer_for_the_next(
    nursery: Nursery, tmp_path: Path
) -> None:
    prepare = IsolatedPreparation(nursery, seconds=3)

    class BrokenOffError(Exception):
        """As Celery's time limit raises it, out of a signal handler."""

    def break_off(*_: object) -> None:
        raise BrokenOffError

    before = signal.signal(signal.SIGUSR1, break_off)
    try:
        later = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        later.start()
        with pytest.raises(BrokenOffError):
            prepare([an_image(tmp_path, HANG)], PREPARATION)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert prepare([an_image(tmp_path)], PREPARATION).shape == (1, 1, 28, 28)
    prepare.close()


def test_a_decoder_that_waits_for_work_has_no_deadline(
    nursery: Nursery, prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    prepare([an_image(tmp_path)], PREPARATION)
    beside = IsolatedPreparation(nursery, seconds=0.5)
    refused(beside, an_image(tmp_path, HANG))  # ends after the deadline of the first request
    beside.close()

    assert prepare([an_image(tmp_path)], PREPARATION).shape == (1, 1, 28, 28)


def test_dead_decoders_leave_no_open_files_behind(
    nursery: Nursery, prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    crash = an_image(tmp_path, CRASH)
    refused(prepare, crash)
    wait_until(lambda: not decoders(nursery))  # those of other tests end by themselves
    ours, theirs = psutil.Process(), psutil.Process(nursery.pid)
    before = ours.num_fds(), theirs.num_fds()

    for _ in range(5):
        refused(prepare, crash)

    wait_until(lambda: (ours.num_fds(), theirs.num_fds()) == before)


def test_a_hostile_file_costs_its_neighbour_nothing(
    nursery: Nursery, prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    good, hang = an_image(tmp_path), an_image(tmp_path, HANG)
    beside = IsolatedPreparation(nursery)
    beside([good], PREPARATION)
    hanging = threading.Thread(target=refused, args=(prepare, hang))
    hanging.start()

    served = 0
    while hanging.is_alive():
        beside([good], PREPARATION)
        served += hanging.is_alive()

    assert served
    hanging.join()
    beside.close()


def test_a_killed_nursery_is_replaced(tmp_path: Path) -> None:
    nursery = Nursery()
    prepare = IsolatedPreparation(nursery)
    prepare([an_image(tmp_path)], PREPARATION)
    before = nursery.pid
    wait_until(lambda: len(decoders(nursery)) == 1)  # those of other tests end by themselves
    (decoder,) = decoders(nursery)
    os.kill(before, signal.SIGKILL)
    decoder.kill()

    with pytest.raises(DecoderLostError):
        prepare([an_image(tmp_path)], PREPARATION)
    assert prepare([an_image(tmp_path)], PREPARATION).shape == (1, 1, 28, 28)
    assert nursery.pid != before
    prepare.close()
    nursery.stop()


def test_no_decoder_outlives_the_process_that_used_it(nursery: Nursery, tmp_path: Path) -> None:
    prepare = IsolatedPreparation(nursery)
    prepare([an_image(tmp_path)], PREPARATION)
    wait_until(lambda: len(decoders(nursery)) == 1)  # those of other tests end by themselves
    (decoder,) = decoders(nursery)

    prepare.close()

    wait_until(lambda: not decoder.is_running())


@keeps_memory_limits
def test_a_decoder_leaves_no_core_dump_and_has_its_limit(
    nursery: Nursery, prepare: IsolatedPreparation, tmp_path: Path
) -> None:
    prepare([an_image(tmp_path)], PREPARATION)
    wait_until(lambda: len(decoders(nursery)) == 1)  # those of other tests end by themselves
    (decoder,) = decoders(nursery)

    assert decoder.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert decoder.rlimit(psutil.RLIMIT_AS)[0] < 1024**3


def test_a_codec_that_complains_by_the_page_is_not_heard(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = get_testdata_file("MR_small_RLE.dcm", download=False)
    assert name is not None
    content = bytearray(Path(name).read_bytes())
    # A run that is longer than its segment makes pylibjpeg-rle panic, and Rust tell of it.
    content[content.index(b"\xe0\x7f\x10\x00") + 2435] = 1
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(content)
    nursery = Nursery()
    prepare = IsolatedPreparation(nursery)

    with pytest.raises(UndecodableError):
        prepare([damaged], PREPARATION)

    prepare.close()
    nursery.stop()
    assert capfd.readouterr().err == ""
