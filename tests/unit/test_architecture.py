"""The house itself: short files, described modules, names that resolve, doors without a broker."""

import ast
import importlib
import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from celery import current_app

import medqueue.doors
from medqueue.broker.app import TASKS_MODULE
from medqueue.cli import _COMMANDS
from schemas.work import TASK_NAMES

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for package in ("schemas", "medqueue", "workers")
    for path in (ROOT / package).rglob("*.py")
)
LONGEST = 300
MAY_BE_LONG = {"medqueue/ledger/tables.py"}
"""A table of names; and migrations, which are written once and never read again."""

DOORS = [
    module.name for module in pkgutil.walk_packages(medqueue.doors.__path__, "medqueue.doors.")
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_is_short_enough_to_be_read_at_once(path: Path) -> None:
    if name_of(path) not in MAY_BE_LONG and "versions" not in path.parts:
        assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_no_package_is_without_its_init() -> None:
    folders = {path.parent for path in SOURCES} - {ROOT / "medqueue/ledger/migrations/versions"}
    assert [name_of(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_door_loads_broker_or_models() -> None:
    """Proof that a dead Redis cannot stop intake."""
    program = (
        f"import sys, {', '.join(DOORS)}\n"
        "print(*sorted({'celery', 'kombu', 'redis', 'torch'} & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (loaded.stdout.strip(), loaded.returncode) == ("", 0), loaded.stderr


def test_every_task_on_the_wire_has_its_function() -> None:
    """Celery finds the tasks by the name of their module, which no type checker sees."""
    importlib.import_module(TASKS_MODULE)
    current_app.finalize()
    assert set(TASK_NAMES.values()) <= set(current_app.tasks)


def test_every_command_resolves() -> None:
    missing = [
        target
        for target in _COMMANDS.values()
        if importlib.util.find_spec(target.partition(":")[0]) is None
    ]
    assert missing == []
