"""Who may see the page: on loopback whoever uses this machine, elsewhere whoever has the token."""

import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pan_core.errors import PanError

LONGEST_TOKEN = 200
UNAUTHORISED = 401
# The page that asks for the token, and what it is made of.
PUBLIC = ("/login", "/app.css", "/login.js")
HEADERS = {
    b"content-security-policy": b"default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    b"object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def require_token(token: str | None) -> None:
    """Refuse a token that could not keep anybody out, or that no cookie, header and form carries unchanged.

    Raises:
        PanError: If it is empty, too long, or has other than printed ASCII characters.
    """
    if token is None:
        return
    if not token:
        raise PanError(
            "the token is empty, so anybody would have it; give one with --token or PAN_TOKEN, or leave both out",
            code="access.token",
        )
    if len(token) > LONGEST_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise PanError(
            f"the token has {len(token)} characters; expected at most {LONGEST_TOKEN} letters, digits and signs of ASCII "
            "without blanks, such as `openssl rand -hex 24` makes",
            code="access.token",
        )


class Access:
    """Lets requests through, or refuses them.

    A page of another site can make a browser on this machine send requests here. So a request that names another host
    is refused on loopback, where there is no token, and one that comes from a page of another origin always.

    Args:
        app: What is protected.
        token: Who has it is let in; everybody on this machine where None.

    Raises:
        PanError: As for `require_token`.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        require_token(token)
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._find_refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, _add_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            # A browser is told the code only of a channel that was open.
            if refusal.status_code == UNAUTHORISED:
                await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 4401})
        else:
            await refusal(scope, receive, _add_headers(send))

    def _find_refusal(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        host = headers.get("host", "")
        if self._token is None and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return PlainTextResponse("this address is not served here; use http://127.0.0.1 or http://localhost\n", 421)
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc != host:
            return PlainTextResponse("requests from pages of other sites are refused\n", 403)
        if self._token is None or scope["path"] in PUBLIC:
            return None
        offered = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["type"] == "http" and scope["path"] == "/" and offered:
            return self.enter(offered, scope)
        if self._is_token(cookie_parser(headers.get("cookie", "")).get(_cookie(scope), "")) or self._is_token(
            headers.get("authorization", "").removeprefix("Bearer ")
        ):
            return None
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/":
            return RedirectResponse("/login", status_code=303)
        return PlainTextResponse("the token is missing or wrong\n", UNAUTHORISED)

    def enter(self, offered: str, scope: Scope) -> Response:
        """To the page with a cookie, so that the token does not stay in the address; or to be asked again."""
        if not self._is_token(offered):
            return RedirectResponse("/login?wrong=1", status_code=303)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(_cookie(scope), self._token or "", httponly=True, samesite="strict", max_age=30 * 24 * 3600)
        return answer

    def _is_token(self, offered: str) -> bool:
        return bool(self._token) and hmac.compare_digest(offered.encode("utf-8", "replace"), str(self._token).encode())


def _cookie(scope: Scope) -> str:
    """Its name has the port: a browser sends cookies to all ports of a host, where others may serve pages like this."""
    server = scope.get("server")
    return f"pan_token_{server[1] if server else ''}"


def _add_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS.items()]
        await send(message)

    return sent
