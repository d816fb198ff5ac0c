"""Training of text models: from generated or given texts to a package that reads in the queue."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from medqueue.errors import ConfigurationError, PackageError
from schemas.finding import Presence
from workers.inference.reader import TextReader
from workers.models.package import load_package
from workers.preprocess.text import split
from workers.training.commands import train
from workers.training.config import read_config
from workers.training.evaluate_command import evaluate

CONFIG = """
kind = "text"
[data]
{data}
[package]
name = "two-findings"
version = "1.0.0"
architecture = "{architecture}"
parameters = {{ {parameters} }}
max_tokens = 40
min_count = 1
intended_use = "Tests."
licence = "none"
data_provenance = "made up"
accepts = {{ languages = ["en"] }}
labels = [{{ name = "any finding", sums_up = true }}, {{ name = "effusion" }}, {{ name = "edema" }}]
[optimisation]
epochs = {epochs}
batch_size = 16
learning_rate = 0.01
label_smoothing = 0.02
ema_decay = 0.8
"""
ARCHITECTURES = {
    "bi-gru": "embedding = 12, width = 12, dropout = 0.1",
    "text-transformer": "max_tokens = 40, width = 16, heads = 2, layers = 2, dropout = 0.0",
}
EPOCHS = {"bi-gru": 16, "text-transformer": 60}

# More threads than cores only wait for each other, and the suite runs in several processes.
torch.set_num_threads(1)


def write_reports(folder: Path) -> Path:
    """Texts with two findings, each stated or denied, between words without meaning."""
    lines = []
    for number in range(240):
        words = [
            f"{'There is' if number & 1 else 'No'} effusion.",
            f"{'There is' if number & 2 else 'No'} edema.",
        ]
        if number & 4:
            words.reverse()
        stated = {"effusion": bool(number & 1), "edema": bool(number & 2)}
        text = f"Study number {chr(97 + number // 8 % 26)}. {' '.join(words)} Thank you."
        lines.append(
            {
                "text": text,
                "labels": {**stated, "any finding": any(stated.values())},
                "split": ("train", "train", "train", "val", "test")[number % 5],
            }
        )
    path = folder / "reports.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def write_config(folder: Path, architecture: str = "bi-gru", data: str | None = None) -> Path:
    path = folder / "train.toml"
    content = CONFIG.format(
        data=data or f'path = "{write_reports(folder).as_posix()}"',
        architecture=architecture,
        parameters=ARCHITECTURES[architecture],
        epochs=EPOCHS[architecture],
    )
    path.write_text(content, encoding="utf-8")
    return path


def trained(folder: Path, config: Path) -> Path:
    outcome = CliRunner().invoke(
        train, [str(config), "--output", str(folder), "--json"], catch_exceptions=False
    )
    assert outcome.exit_code == 0
    return folder


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_trained_package_reads_reports_in_the_queue_too(
    tmp_path: Path, architecture: str
) -> None:
    package = load_package(trained(tmp_path / "out", write_config(tmp_path, architecture)))
    text = "Study number z. There is edema. No effusion. Thank you."

    findings = {f.label: f for f in TextReader(package).label(split(text))}

    assert {label: f.presence for label, f in findings.items()} == {
        "any finding": Presence.PRESENT,
        "effusion": Presence.ABSENT,
        "edema": Presence.PRESENT,
    }
    for finding in findings.values():
        assert bool(finding.evidence) == (finding.presence is Presence.PRESENT)
        for span in finding.evidence:
            assert text[span.start : span.end] == span.text


def test_evaluation_prints_the_contract_s_form_and_each_label(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    folder = trained(tmp_path / "out", config)

    outcome = CliRunner().invoke(
        evaluate,
        [str(folder), "--data", str(tmp_path / "reports.jsonl"), "--json"],
        catch_exceptions=False,
    )

    printed = json.loads(outcome.stdout)
    assert (printed["model"], printed["version"]) == ("two-findings", "1.0.0")
    assert (printed["split"], printed["n"]) == ("test", 48)
    assert printed["metrics"].keys() >= {
        *("auroc", "auprc", "accuracy", "precision", "recall", "f1", "ece"),
        *("macro_precision", "macro_recall", "macro_f1"),
    }
    assert printed["metrics"]["f1"] > 0.95
    assert printed["labels"].keys() == {"any finding", "effusion", "edema"}
    assert sum(printed["confusion"].values()) == 2 * 48  # what sums up the others is left out


def test_the_same_seed_gives_the_same_package(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace("epochs = 16", "epochs = 1"), encoding="utf-8")

    manifests = [load_package(trained(tmp_path / name, config)).manifest for name in ("one", "two")]

    assert manifests[0] == manifests[1]


def test_generated_texts_need_no_file(tmp_path: Path) -> None:
    config = write_config(tmp_path, data="generated = { seed = 1, train = 60, val = 40 }")
    text = config.read_text().replace("effusion", "pleural effusion")
    config.write_text(
        text.replace("edema", "pulmonary edema").replace("epochs = 16", "epochs = 1"),
        encoding="utf-8",
    )

    assert load_package(trained(tmp_path / "out", config)).manifest.tokenization is not None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[data]", "[data]\nsource = 1", r"data\.source"),
        ("[data]", "[data]\npositive_class = 1", r"data\.positive_class"),
        ("max_tokens = 40", "max_words = 40", r"package\.max_words"),
        ('kind = "text"', 'kind = "sound"', "kind|sound"),
        ("[data]", "[data]\ngenerated = { train = 1, val = 1 }", "either path or generated"),
    ],
)
def test_what_does_not_belong_in_a_text_configuration_is_refused(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace(old, new, 1), encoding="utf-8")

    with pytest.raises(ConfigurationError, match=named):
        read_config(config)


def test_a_vocabulary_with_another_digest_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace("epochs = 16", "epochs = 1"), encoding="utf-8")
    folder = trained(tmp_path / "out", config)
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes().replace(b"edema", b"EDEMA"))

    package = load_package(folder)
    assert package.manifest.tokenization is not None

    with pytest.raises(PackageError, match="SHA-256"):
        package.read(package.manifest.tokenization)
