"""A process that performs one piece of work and may be frozen in the middle of it; a program.

It says `working` when it holds the claim, ends the work when it reads a line, and says `ended`.
"""

import sys

from medqueue.logs import configure_logs
from schemas.manifest import Manifest
from schemas.result import Outcome, ResultError, ResultStatus
from schemas.work import Claim
from workers.tasks.performing import perform
from workers.tasks.process import worker_process


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _do(_claim: Claim, manifest: Manifest) -> Outcome:
    _say("working")
    sys.stdin.readline()
    return Outcome(
        status=ResultStatus.FAILED,
        model=manifest.reference(),
        error=ResultError(code="frozen", detail="written by the worker that was frozen"),
    )


if __name__ == "__main__":
    configure_logs("frozen", "info")
    perform(worker_process(), sys.argv[1], _do)
    _say("ended")
