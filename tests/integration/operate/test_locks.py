"""Beyond loopback `medqueue up` refuses to start before it has started anything."""

from pathlib import Path

import pytest

from medqueue.errors import ConfigurationError
from medqueue.operate import system
from medqueue.settings import Settings


def test_open_doors_are_named_at_once_with_their_locks(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", bind="0.0.0.0")  # noqa: S104

    with pytest.raises(ConfigurationError) as refused:
        system.run(settings, on_ready=lambda: pytest.fail("it started"))

    for lock in ("API_TOKENS", "CALLING_AES", "HL7_SENDERS", "FLOWER_LOGIN"):
        assert f"MEDQUEUE_{lock}" in str(refused.value)
