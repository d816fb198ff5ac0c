"""Serving: the HTTP application on its port, until it is told to stop."""

import errno
import socket
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI

from medqueue.errors import ConfigurationError
from medqueue.logs import get_logger
from medqueue.settings import Settings

_BACKLOG = 2048
"""Connections that the system holds while we are busy; more are refused."""

_logger = get_logger(__name__)


class _Server(uvicorn.Server):
    """Stops on a signal or an event, letting long polls go first, and returns normally."""

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, stop_event: threading.Event | None
    ) -> None:
        super().__init__(config)
        self._app = app
        self._stop_event = stop_event

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop. The base class would raise the signal again after a clean stop."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Tell, ten times a second, whether to stop."""
        asked = self._stop_event is not None and self._stop_event.is_set()
        return await super().on_tick(counter) or asked

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests at hand and close."""
        self._app.state.feed_watch.stop()
        await super().shutdown(sockets=sockets)


def serve_http(app: FastAPI, settings: Settings, stop_event: threading.Event | None = None) -> None:
    """Serve in this process until SIGTERM, Ctrl-C or the event; then finish what is at hand.

    Signals are heard only in the main thread; elsewhere give an event.

    Raises:
        ConfigurationError: the address or the port cannot be had; the message says why.
    """
    listener = _listen(settings)
    config = uvicorn.Config(
        app,
        access_log=False,  # paths may carry identifiers of studies and reports
        log_config=None,  # medqueue.logs has configured them
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=max(1, int(settings.stop_seconds)),
    )
    _logger.info("http-door-open", address=settings.bind, port=settings.http_port)
    _Server(config, app, stop_event).run(sockets=[listener])
    _logger.info("http-door-closed")


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.bind, settings.http_port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_explain(error, settings)) from error
    return listener


def _explain(error: OSError, settings: Settings) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"MEDQUEUE_HTTP_PORT: another program listens on port {settings.http_port}; stop it "
            f"(find it with: lsof -i :{settings.http_port}), or set MEDQUEUE_HTTP_PORT"
        )
    if error.errno == errno.EACCES:
        return (
            f"MEDQUEUE_HTTP_PORT: port {settings.http_port} needs root; "
            "set MEDQUEUE_HTTP_PORT to 1024 or above"
        )
    return f"MEDQUEUE_BIND: cannot listen on {settings.bind}: {error.strerror}"
