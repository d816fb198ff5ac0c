"""The documentation says what the program does: commands, errors, links, the demo's output."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import click
import pytest
from rich.console import Console

import manifest_page
import medqueue
import schemas
import workers
from builders import a_text_model
from commands_page import PAGE, render, walk
from medqueue import cli
from medqueue.errors import MedqueueError
from medqueue.operate import demo_inputs
from medqueue.operate.demo_progress import STEPS, Tracked
from medqueue.operate.demo_view import ProgressView
from schemas.result import Result, ResultKind, ResultStatus

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
ERRORS = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
README_ZH = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND_IN_TEXT = re.compile(r"`((?:medqueue|make|docker|curl|cp|pip|storescu|dcmsend) [^`]+)`")


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "renew: python tests/commands_page.py"


def test_the_page_of_the_manifest_is_what_the_schema_says() -> None:
    page = manifest_page.PAGE.read_text(encoding="utf-8")
    assert page == manifest_page.render(), "renew: python tests/manifest_page.py"


def test_every_command_has_an_example() -> None:
    for path, context in walk(cli.medqueue, "medqueue"):
        texts = (context.command.help, context.command.epilog)
        assert any("Example: " in text for text in texts if text), path


def test_every_command_named_in_the_documentation_exists() -> None:
    known = {path for path, _ in walk(cli.medqueue, "medqueue")}
    groups = {
        path
        for path, context in walk(cli.medqueue, "medqueue")
        if isinstance(context.command, click.Group)
    }
    for page in PAGES:
        for line in re.findall(r"(?:^|[`$ ])(medqueue [a-z].*)", _code(page), re.MULTILINE):
            _, first, *rest = re.sub(r"[`|;&)].*", "", line).split()
            name = f"medqueue {first}"
            if name in groups and rest and rest[0].isalpha() and rest[0].islower():
                name = f"{name} {rest[0]}"
            assert name in known, f"{page.name}: {line}"


def test_every_error_code_is_explained() -> None:
    _import_everything()
    codes = {error.code for error in _subclasses(MedqueueError)}
    explained = set(re.findall(r"^\| `([a-z0-9-]+)` \|", ERRORS, re.MULTILINE))
    assert codes <= explained


def test_every_code_of_a_result_without_an_error_class_is_explained() -> None:
    explained = set(re.findall(r"^\| `([a-z0-9-]+)` \|", ERRORS, re.MULTILINE))
    pattern = re.compile(r"ResultError\(\s*code=\"([a-z-]+)\"|_refuse\(\"([a-z-]+)\"")
    found = {
        first or second
        for package in (schemas, medqueue, workers)
        for module in Path(package.__path__[0]).rglob("*.py")
        for first, second in pattern.findall(module.read_text(encoding="utf-8"))
    }
    assert found
    assert found <= explained


def test_every_explained_code_is_one_that_the_program_uses() -> None:
    sources = "".join(
        module.read_text(encoding="utf-8")
        for package in (schemas, medqueue, workers)
        for module in Path(package.__path__[0]).rglob("*.py")
    )
    for code in re.findall(r"^\| `([a-z0-9-]+)` \|", ERRORS, re.MULTILINE):
        assert f'"{code}"' in sources


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target) is None:
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            assert file.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in _anchors(file), f"{page.name}: {target}"


def test_every_page_stands_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).as_posix()
        assert name == "README.md" or f"({name})" in index, name


def test_both_readmes_have_the_same_code() -> None:
    ours, theirs = (_without_comments(text) for text in (README, README_ZH))
    assert theirs == ours


def test_both_readmes_name_the_same_commands_in_their_text() -> None:
    ours, theirs = (set(_COMMAND_IN_TEXT.findall(_prose(text))) for text in (README, README_ZH))
    assert theirs == ours


def test_the_readme_shows_the_demo_as_it_prints() -> None:
    (block,) = [body for _, body in _FENCED.findall(README) if "ready after" in body]
    inputs = {report.title: report for report in demo_inputs.reports()}
    shown = re.findall(r"^  (.+?): (.+), \d+\.\d s$", block, re.MULTILINE)
    assert shown
    for title, path in shown:
        kind = ResultKind.TEXT if title in inputs else ResultKind.IMAGE
        steps, _, status = path.rpartition(" ")
        assert [step for step in STEPS[kind] if step in steps.split(" > ")] == steps.split(" > ")
        assert ResultStatus(status)
    line = next(f"  {title}: {path}" for title, path in shown if title in inputs)
    assert _printed(inputs[line[2:].partition(":")[0]]).startswith(line)
    source = (ROOT / "medqueue" / "operate" / "demo.py").read_text(encoding="utf-8")
    for fixed in ("starting every process in a temporary folder ...", "DICOM on port "):
        assert fixed in block
        assert fixed in source
    assert re.search(r"^ready after \d+\.\d s: DICOM on port \d+$", block, re.MULTILINE)
    assert re.search(
        r"^All \d+ inputs reached their expected end within \d+ s\.$", block, re.MULTILINE
    )


def _printed(report: demo_inputs.DemoReport) -> str:
    """Return the line that the demo prints when a report has its result."""
    out = StringIO()
    now = datetime.now(UTC)
    result = Result(
        seq=1,
        id="1",
        kind=ResultKind.TEXT,
        status=ResultStatus.FINAL,
        study_instance_uid=None,
        series_instance_uid=None,
        sop_instance_uids=(),
        accession_number=None,
        patient_id=None,
        report_id=None,
        model=a_text_model().reference(),
        findings=(),
        error=None,
        received_at=now,
        completed_at=now,
    )
    tracked = Tracked(report, "", now, steps=list(STEPS[ResultKind.TEXT]), result=result)
    with ProgressView(Console(file=out), silent=False) as view:
        view.show([tracked])
    return out.getvalue()


def _import_everything() -> None:
    for package in (schemas, medqueue, workers):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations." not in module.name:
                importlib.import_module(module.name)


def _subclasses(error: type[MedqueueError]) -> Iterator[type[MedqueueError]]:
    yield error
    for child in error.__subclasses__():
        if child.__module__.partition(".")[0] in {"schemas", "medqueue", "workers"}:
            yield from _subclasses(child)


def _code(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    blocks = [
        re.sub(r"\s#\s.*", "", body)
        for language, body in _FENCED.findall(text)
        if language in {"sh", "console"}
    ]
    inline = re.findall(r"`(medqueue [a-z][^`\n]*)`", _prose(text))
    return "\n".join([*blocks, *inline])


def _prose(text: str) -> str:
    return _FENCED.sub("", text)


def _without_comments(text: str) -> list[tuple[str, list[str]]]:
    """Return the blocks of code in their order; what follows a `#` may be in another language."""
    return [
        (language, [re.sub(r"\s+#\s.*", "", line).rstrip() for line in body.splitlines()])
        for language, body in _FENCED.findall(text)
        if language
    ]


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", _prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
