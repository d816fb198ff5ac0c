"""`medqueue doctor`: what is wrong on this machine, and how to mend it."""

import json
import sys
from dataclasses import asdict

import click
from rich.console import Console

from medqueue.errors import ConfigurationError
from medqueue.settings import load_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, as_json: bool) -> None:
    """Check ports, disk, folders, broker, ledger, GPU and models, and say how to mend each fault.

    Exits with 1 if anything is wrong.

    Example: medqueue doctor --json
    """
    from medqueue.operate.checks import Finding, Verdict
    from medqueue.operate.doctor import examine, findings_table, is_well

    try:
        findings = list(examine(load_settings()))
    except ConfigurationError as error:
        cure = "correct the setting; all are described in docs/reference"
        findings = [Finding("settings", Verdict.FAIL, error.detail, cure)]
    if as_json:
        content = {"ok": is_well(findings), "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(content, indent=2))
    else:
        Console(soft_wrap=True).print(findings_table(findings))
    sys.exit(0 if is_well(findings) else 1)
