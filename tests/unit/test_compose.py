"""The compose file: what it sets and starts is what medqueue knows.

`.ci/run` has it read by `docker compose config` too, where that client is installed.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from medqueue.cli import medqueue
from medqueue.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
EXAMPLE = (ROOT / "deploy" / "example.env").read_text()
OURS = {
    name: service
    for name, service in COMPOSE["services"].items()
    if str(service.get("image", "")).startswith("medqueue")
}


def test_every_role_has_its_service() -> None:
    assert set(COMPOSE["services"]) == {
        "postgres",
        "redis",
        "migrate",
        "door",
        "api",
        "relay",
        "deliver",
        "worker-cpu",
        "worker-image",
        "worker-gpu",
        "flower",
    }
    assert COMPOSE["services"]["worker-gpu"]["profiles"] == ["gpu"]
    assert COMPOSE["services"]["deliver"]["profiles"] == ["deliver"]


@pytest.mark.parametrize("service", OURS.values(), ids=OURS.keys())
def test_a_service_runs_a_command_with_settings_that_exist(service: dict[str, Any]) -> None:
    helped = CliRunner().invoke(medqueue, [*service["command"], "--help"])
    assert helped.exit_code == 0, helped.output
    for variable in service["environment"]:
        assert variable.removeprefix("MEDQUEUE_").lower() in Settings.model_fields


@pytest.mark.parametrize("service", OURS.values(), ids=OURS.keys())
def test_a_service_has_no_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]


def test_everything_that_must_be_set_stands_in_the_example() -> None:
    required = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert required == set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))


def test_the_version_of_the_image_is_ours() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"$', pyproject, re.MULTILINE)
    assert version is not None
    assert {service["image"] for service in OURS.values()} == {f"medqueue:{version[1]}"}
