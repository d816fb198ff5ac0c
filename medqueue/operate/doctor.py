"""`medqueue doctor`: every check in its order, whatever the others find."""

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from medqueue.operate import checks
from medqueue.operate.checks import Finding, Verdict
from medqueue.settings import Settings

Check = Callable[[Settings], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    checks.python,
    checks.packages,
    checks.folder,
    checks.disk,
    checks.doors,
    checks.access,
    checks.broker,
    checks.ledger,
    checks.models,
    checks.gpu,
)

_STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what every check finds."""
    for check in CHECKS:
        yield from _run(check, settings)


def is_well(findings: Sequence[Finding]) -> bool:
    """Tell whether nothing has failed; warnings are no illness."""
    return all(finding.verdict is not Verdict.FAIL for finding in findings)


def findings_table(findings: Sequence[Finding]) -> Table:
    """Return the findings as a table, each fault with its cure below it."""
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        detail = Text(finding.detail)
        if finding.cure:
            detail.append(f"\n-> {finding.cure}", "bold")
        table.add_row(Text(finding.verdict, _STYLES[finding.verdict]), finding.check, detail)
    return table


def _run(check: Check, settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except (OSError, ImportError) as error:
        # A check that cannot look has found something too, and must not hide the others.
        reason = getattr(error, "strerror", None) or str(error)
        name = check.__name__.replace("_", " ")
        yield Finding(name, Verdict.FAIL, f"cannot be checked: {reason}", "mend what it names")
