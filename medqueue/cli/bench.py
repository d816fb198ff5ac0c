"""`medqueue bench`: the project's own benchmarks."""

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from medqueue.operate.bench import (
    Row,
    benchmark_names,
    describe_benchmark,
    describe_machine,
    run_benchmark,
)


@click.command()
@click.argument("name", required=False, type=click.Choice(benchmark_names()))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a benchmark, each a line.")
def bench(*, name: str | None, as_json: bool) -> None:
    """Run one benchmark, or all, each on a system of its own in a temporary folder.

    Example: medqueue bench latency --json
    """
    for each in [name] if name else benchmark_names():
        rows = run_benchmark(each)
        if as_json:
            click.echo(json.dumps(_content(each, rows)))
        else:
            Console().print(_table(each, rows))


def _content(name: str, rows: list[Row]) -> dict[str, object]:
    return {
        "bench": name,
        "machine": describe_machine(),
        "rows": [
            {key: value for key, value in asdict(row).items() if value is not None} for row in rows
        ],
    }


def _table(name: str, rows: list[Row]) -> Table:
    table = Table(
        title=f"{name}: {describe_benchmark(name)}",
        caption=describe_machine(),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("case")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("against")
    for row in rows:
        against = f"{row.ratio:.2f} x {row.against}" if row.ratio is not None else ""
        table.add_row(row.case, f"{row.value:g}", row.unit, against)
    return table
