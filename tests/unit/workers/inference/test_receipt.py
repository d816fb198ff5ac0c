"""Receipts: the same for the same model, and another as soon as anything that matters differs."""

import torch

from builders import a_text_model, an_image_model
from schemas.manifest import ImagePreparation
from schemas.receipt import digest_of
from workers.inference.receipt import receipt_of

INPUT = "1" * 64


def test_a_receipt_names_input_model_and_environment() -> None:
    receipt = receipt_of(an_image_model(), INPUT)

    assert (receipt.input, receipt.weights) == (INPUT, an_image_model().sha256)
    assert receipt.engine == f"torch {torch.__version__}"
    assert receipt.libraries["pillow"]
    assert receipt.device.startswith(("cpu", "cuda"))
    assert receipt.threads == torch.get_num_threads()


def test_rules_run_without_an_engine() -> None:
    receipt = receipt_of(a_text_model(), INPUT)

    assert (receipt.engine, receipt.device, receipt.threads) == ("rules", "cpu", None)


def test_another_preparation_shows_in_its_digest_and_in_that_of_all_settings() -> None:
    other = an_image_model(preparation=ImagePreparation(size=(28, 28), mean=0.5, std=0.3))
    one, two = receipt_of(an_image_model(), INPUT), receipt_of(other, INPUT)

    assert one.preparation != two.preparation
    assert one.settings != two.settings


def test_another_temperature_shows_in_the_settings_alone() -> None:
    one, two = (receipt_of(an_image_model(temperature=t), INPUT) for t in (1.0, 2.0))

    assert one.preparation == two.preparation
    assert one.settings != two.settings


def test_the_same_model_on_other_inputs_ran_in_the_same_environment() -> None:
    one, two = receipt_of(an_image_model(), INPUT), receipt_of(an_image_model(), "2" * 64)

    assert one != two
    assert one.same_environment(two)
    assert not one.same_environment(one.model_copy(update={"threads": 64}))


def test_the_order_of_a_table_does_not_change_its_digest() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
