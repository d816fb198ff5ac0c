"""What stands around every request: access, a bound on the body, headers that keep data in."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medqueue.errors import ForbiddenError, UnauthorizedError
from medqueue.web.access import STATIC_PREFIX, Access
from medqueue.web.problems import to_response

_SECURITY_HEADERS = {
    # Pages use nothing from elsewhere and hold no inline script or style, so injected ones
    # would not run even if the escaping failed.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with that a browser says `Origin: null` on our own forms (Fetch, "append a
    # request Origin header"), which `access` could not tell from a foreign page's.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class AccessControl:
    """Lets only those pass who may, before anything of the request is read.

    Whoever passes is named in `request.state.caller`.
    """

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer why not."""
        if scope["type"] == "http":
            try:
                caller = self._access.authorize(
                    scope["method"], scope["path"], Headers(scope=scope)
                )
            except (UnauthorizedError, ForbiddenError) as error:
                await to_response(error, scope["path"])(scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses a body beyond the limit before anything has parsed it.

    Paths under `streamed` pass: their routes bound what they take as it comes.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, streamed: str) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http" or scope["path"].startswith(self._streamed):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        received = int(declared) if declared.isdecimal() else 0
        if received <= self._max_bytes:
            received = 0

        async def bounded() -> Message:
            nonlocal received
            if received <= self._max_bytes:
                message = await receive()
                received += len(message.get("body", b""))
            else:
                message = {}
            if received > self._max_bytes:
                raise HTTPException(413, f"the body may have {self._max_bytes} bytes")
            return message

        await self._app(scope, bounded, send)


class SecurityHeaders:
    """Adds the headers that tell browsers and caches to keep what they get to themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add to the head of its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_static = scope["path"].startswith(STATIC_PREFIX)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers[name] = value
                headers["Cache-Control"] = "no-cache" if is_static else "no-store"
            await send(message)

        await self._app(scope, receive, with_headers)
