"""`medqueue bench fitness`: what is unfit is caught by name, and what is fit is not."""

from workers.tasks.fitness_bench import run

BY_WEIGHTS = (" under a chest header", "upside down")
"""What only the gate of a package can tell."""


def test_faults_are_caught_before_any_score_and_whole_inputs_are_not() -> None:
    for row in run():
        if row.case.startswith("fit:"):
            assert (row.case, row.value) == (row.case, 0)
        elif not row.case.endswith(BY_WEIGHTS):
            assert f"caught of {row.value} as " in row.unit, row.case
