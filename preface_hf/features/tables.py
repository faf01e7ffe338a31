"""Probe results as tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from preface_hf.features.probe import ProbeResult


def print_probes(results: list[ProbeResult]) -> None:
    """One row per encoder and classifier, one column per label: accuracy in percent, mean ± spread over the folds."""
    table = Table(title="probe accuracy, % (mean ± standard deviation over folds)")
    table.add_column("encoder")
    table.add_column("probe")
    for result in results:
        table.add_column(
            f"{result.label}\n{result.num_classes} classes, {result.num_rows} clips\nfolds by {result.group}",
            justify="right",
        )
    for row in zip(*(result.scores for result in results), strict=True):
        cells = [f"{100 * score.mean:.1f} ± {100 * score.spread:.1f}" for score in row]
        table.add_row(row[0].encoder, row[0].classifier, *cells)
    table.add_row("chance", "", *[f"{100 * result.chance:.1f}" for result in results])
    Console(width=110).print(table)
