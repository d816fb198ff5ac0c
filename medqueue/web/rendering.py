"""Rendering: templates filled into pages; whatever comes from outside is escaped."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from medqueue import __version__
from schemas.result import ResultStatus
from schemas.work import WorkState


class Renderer:
    """Fills the templates of this package."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            version=__version__, ResultStatus=ResultStatus, WorkState=WorkState
        )
        self._environment.filters.update(moment=_moment, duration=_duration)

    def __call__(
        self, template: str, status: HTTPStatus = HTTPStatus.OK, **context: object
    ) -> HTMLResponse:
        """Return a page."""
        page = self._environment.get_template(template).render(context)
        return HTMLResponse(page, status_code=status)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _duration(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    if seconds < 10:  # noqa: PLR2004 - below, tenths still tell something
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
