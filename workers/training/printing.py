"""Figures as lines of text, for the commands that have measured a model."""

from collections.abc import Mapping

import click

from workers.training.bootstrap import Interval
from workers.training.evaluate import Evaluation


def print_figures(
    name: str,
    version: str,
    split: str | None,
    measured: Evaluation,
    intervals: Mapping[str, Interval] | None = None,
) -> None:
    """Print every figure with its interval, the counts, and a line for each of several labels."""
    click.echo(f"{name} {version} on {measured.n} inputs of the {split or 'whole'} split")
    for metric, value in measured.metrics.items():
        interval = (intervals or {}).get(metric)
        between = f"   {interval.low:.4f} to {interval.high:.4f}" if interval else ""
        click.echo(f"  {metric:<16}{value:.4f}{between}")
    for count, number in measured.confusion.items():
        click.echo(f"  {count:<16}{number}")
    if measured.labels:
        click.echo(f"  {'label':<28}{'present':>8}{'auroc':>8}{'auprc':>8}{'f1':>8}")
    for label, values in measured.labels.items():
        click.echo(
            f"  {label:<28}{values['present']:>8.0f}"
            f"{values['auroc']:>8.3f}{values['auprc']:>8.3f}{values['f1']:>8.3f}"
        )
