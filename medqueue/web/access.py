"""Access: who may read results, who may send and who may decide, by tokens out of the settings."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from medqueue.errors import ConfigurationError, ForbiddenError, UnauthorizedError
from medqueue.logs import get_logger
from medqueue.settings import Settings

_SHAPE = re.compile(r"(?P<name>[\w.-]{1,64}):(?P<role>[a-z]+):(?P<digest>[0-9a-fA-F]{64})")
_WANTS = (
    "name:role:sha256-of-token,... with the roles read, send and admin; "
    "the digest of a token is: printf %s TOKEN | sha256sum"
)


STATIC_PREFIX = "/static/"
PAGES_PREFIX = "/view/"
"""Pages, with `/`: there, and only there, a browser may log in with the token as the password of
HTTP Basic. It sends such a login by itself, so what pages change is guarded by
`_require_no_foreign_page`."""

FAILURES = "/failures"
_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/fhir/metadata"})
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


@dataclass(frozen=True, slots=True)
class Token:
    """One line of `MEDQUEUE_API_TOKENS`."""

    name: str
    role: Role
    digest: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: the name of its token, or `local` where none is set."""

    name: str
    role: Role


LOCAL = Caller("local", Role.ADMIN)
ANYBODY = Caller("anybody", Role.READ)
"""On open paths nobody is asked."""


class Access:
    """Decides whether a request may pass."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = parse_tokens(settings.api_tokens or "")
        if not self._tokens and not settings.loopback_only:
            raise ConfigurationError(
                f"MEDQUEUE_API_TOKENS: {settings.bind} can be reached from other machines, so the "
                f"HTTP door needs tokens: {_WANTS}. Or set MEDQUEUE_BIND to 127.0.0.1."
            )

    def authorize(self, method: str, path: str, headers: Mapping[str, str]) -> Caller:
        """Return who asks if the request may pass. What is not named as open needs a role.

        Raises:
            UnauthorizedError: it has no token that is known.
            ForbiddenError: its token, its host name where no token is set, or the page that it
                comes from is not good for it.
        """
        if path in _OPEN_PATHS or path.startswith(STATIC_PREFIX):
            return ANYBODY
        if self._tokens:
            caller = self._identify(method, path, headers.get("authorization", ""))
        else:
            _require_local_name(headers.get("host", ""))
            caller = LOCAL
        if method not in _READING:
            _require_no_foreign_page(headers)
        return caller

    def _identify(self, method: str, path: str, authorization: str) -> Caller:
        role = _wanted(method, path)
        browser = path == "/" or path.startswith(PAGES_PREFIX)
        token = self._find(_presented(authorization, basic=browser))
        if token is None:
            _logger.warning("access-refused", wanted=role)
            raise UnauthorizedError(
                "give a token that is in MEDQUEUE_API_TOKENS, as: Authorization: Bearer TOKEN",
                f'{"Basic" if browser else "Bearer"} realm="medqueue"',
            )
        if token.role not in {role, Role.ADMIN}:
            _logger.warning("access-refused", wanted=role, token=token.name)
            needs = "admin" if role is Role.ADMIN else f"{role} or admin"
            raise ForbiddenError(f"this needs a token with the role {needs}")
        return Caller(token.name, token.role)

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


def _wanted(method: str, path: str) -> Role:
    if path == FAILURES or path.startswith(f"{FAILURES}/"):
        return Role.ADMIN
    if method in _READING:
        return Role.READ
    return Role.ADMIN if path.startswith(PAGES_PREFIX) else Role.SEND


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


def _require_no_foreign_page(headers: Mapping[str, str]) -> None:
    """Refuse what a page of another site makes a browser send (cross-site request forgery).

    A browser adds by itself what lets it pass: the login to pages, and on loopback its mere place.
    It also says where the request comes from, and no page can forge that: in `Sec-Fetch-Site`
    (Fetch Metadata; over TLS and on loopback), and in `Origin` with every method but GET and HEAD
    (RFC 6454 section 7). So both are compared, and forms need no hidden token, which would need
    sessions or a secret to sign it with. A request with neither header comes from no browser, and
    so from nobody who could be tricked.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        own = site in {"same-origin", "none"}
    else:
        own = (
            origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()
        )
    if not own:
        _logger.warning("foreign-page-refused")
        raise ForbiddenError(
            "this came from a page of another site; use the pages of this server, or the API "
            "without a browser"
        )
