"""How work may end inside a task, for tests of what performs it."""

from collections.abc import Callable

from builders import a_final
from schemas.manifest import Manifest
from schemas.result import Outcome
from schemas.work import Claim
from workers.tasks.performing import Conclusion

Do = Callable[[Claim, Manifest], Conclusion]


def conclude(held: Claim, _manifest: Manifest) -> Outcome:
    """The model has looked, and is sure."""
    return a_final(held)


def raising(error: BaseException) -> Do:
    """Work that cannot be done."""

    def do(_held: Claim, _manifest: Manifest) -> Conclusion:
        raise error

    return do
