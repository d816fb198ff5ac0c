"""Access: who may read results and who may send, by tokens out of the settings."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from medqueue.errors import ConfigurationError, MedqueueError
from medqueue.logs import get_logger
from medqueue.settings import Settings

_SHAPE = re.compile(r"(?P<name>[\w.-]{1,64}):(?P<role>[a-z]+):(?P<digest>[0-9a-fA-F]{64})")
_WANTS = (
    "name:role:sha256-of-token,... with the roles read, send and admin; "
    "the digest of a token is: printf %s TOKEN | sha256sum"
)


STATIC_PREFIX = "/static/"
PAGES_PREFIX = "/view/"
"""Pages, with `/`: there a browser may log in with the token as the password of HTTP Basic. Only
there, since pages change nothing and browsers send such a login by themselves."""

_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
_READING = frozenset({"GET", "HEAD"})

_logger = get_logger(__name__)


class Role(StrEnum):
    """What a token is good for."""

    READ = "read"
    """Studies, reports, results, pages and metrics."""
    SEND = "send"
    """Handing in. A sender need not be able to read what others sent."""
    ADMIN = "admin"
    """Everything."""


class UnauthorizedError(MedqueueError):
    """The request has no token that is known."""

    code = "unauthorized"

    def __init__(self, detail: str, challenge: str) -> None:
        super().__init__(detail)
        self.headers = {"WWW-Authenticate": challenge}


class ForbiddenError(MedqueueError):
    """The token is known but not good for this."""

    code = "forbidden"


@dataclass(frozen=True, slots=True)
class Token:
    """One line of `MEDQUEUE_API_TOKENS`."""

    name: str
    role: Role
    digest: bytes


class Access:
    """Decides whether a request may pass."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = parse_tokens(settings.api_tokens or "")
        if not self._tokens and not settings.loopback_only:
            raise ConfigurationError(
                f"MEDQUEUE_API_TOKENS: {settings.bind} can be reached from other machines, so the "
                f"HTTP door needs tokens: {_WANTS}. Or set MEDQUEUE_BIND to 127.0.0.1."
            )

    def authorize(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Return if the request may pass. What is not named as open needs a role.

        Raises:
            UnauthorizedError: it has no token that is known.
            ForbiddenError: its token, or its host name where no token is set, is not good for it.
        """
        if path in _OPEN_PATHS or path.startswith(STATIC_PREFIX):
            return
        if not self._tokens:
            _require_local_name(headers.get("host", ""))
            return
        role = Role.READ if method in _READING else Role.SEND
        browser = path == "/" or path.startswith(PAGES_PREFIX)
        token = self._find(_presented(headers.get("authorization", ""), basic=browser))
        if token is None:
            _logger.warning("access-refused", wanted=role)
            raise UnauthorizedError(
                "give a token that is in MEDQUEUE_API_TOKENS, as: Authorization: Bearer TOKEN",
                f'{"Basic" if browser else "Bearer"} realm="medqueue"',
            )
        if token.role not in {role, Role.ADMIN}:
            _logger.warning("access-refused", wanted=role, token=token.name)
            raise ForbiddenError(f"this needs a token with the role {role} or admin")

    def _find(self, presented: str) -> Token | None:
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        found = None
        for token in self._tokens:  # all of them, so that time tells nothing
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found


def parse_tokens(text: str) -> tuple[Token, ...]:
    """Read `MEDQUEUE_API_TOKENS`.

    Raises:
        ConfigurationError: an entry is malformed; the message does not repeat it.
    """
    tokens = []
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    for number, entry in enumerate(entries, start=1):
        match = _SHAPE.fullmatch(entry)
        if match is None or match["role"] not in set(Role):
            raise ConfigurationError(
                f"MEDQUEUE_API_TOKENS: entry {number} is malformed; it wants {_WANTS}"
            )
        tokens.append(Token(match["name"], Role(match["role"]), bytes.fromhex(match["digest"])))
    return tuple(tokens)


def _presented(authorization: str, *, basic: bool) -> str:
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if basic and scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _require_local_name(host: str) -> None:
    """Refuse a foreign host name where no token protects the data.

    A web page elsewhere can point a name of its own at 127.0.0.1 and read through the visitor's
    browser (DNS rebinding); it cannot do so with `localhost` or an address.
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if name.lower() != "localhost":
            raise ForbiddenError(
                "without tokens only localhost or an address may be asked; set MEDQUEUE_API_TOKENS"
            ) from None
