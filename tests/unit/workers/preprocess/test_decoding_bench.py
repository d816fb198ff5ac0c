"""The benchmark of decoding: found by its entry point, and complete on pictures of any size."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medqueue.operate import phantoms
from medqueue.operate.bench import benchmark_names, describe_benchmark
from workers.preprocess import decoding_bench
from workers.preprocess.volume import read_volume


def small(*_: object, **__: object) -> NDArray[np.uint16]:
    return np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)


def test_it_is_found_by_its_name() -> None:
    assert "decode" in benchmark_names()
    assert "frame by transfer syntax" in describe_benchmark("decode")


def test_every_form_is_measured_against_another_decoder_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phantoms, "ct_slice", small)
    monkeypatch.setattr(phantoms, "chest", small)
    monkeypatch.setattr(decoding_bench, "_SLICES", 3)
    monkeypatch.setattr(decoding_bench, "_TURNS", 1)
    monkeypatch.setattr(decoding_bench, "_TIMES", 1)

    rows = decoding_bench.run()

    cases = {row.case: row for row in rows}
    for form in decoding_bench._FORMS:
        assert cases[f"DX 2500 x 2048, {form}"].unit == "ms"
    assert cases["CT 512 x 512, RLE: pydicom with pylibjpeg"].against == "medqueue"
    assert cases["3 CT slices to a volume"].against == "a plain loop"


def test_the_plain_loop_gives_the_same_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding_bench, "_SLICES", 3)
    monkeypatch.setattr(decoding_bench, "_TURNS", 1)
    list(decoding_bench._volume(tmp_path))
    paths = sorted(tmp_path.iterdir())

    np.testing.assert_array_equal(read_volume(paths).values, decoding_bench._plain_volume(paths))
