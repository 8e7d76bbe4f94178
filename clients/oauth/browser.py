"""What all pages for signed-in people need: the cookie, forms that other sites cannot send, redirections.

Nothing here needs scripts. The cookie is `HttpOnly` and `SameSite=Lax`: the link of a client brings it along,
a form of another site does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from clients.oauth.forms import form_of
from clients.oauth.paths import ACCOUNT, AUTHORIZE, LOGIN
from clients.pages import page
from homeserver.accounts.oauth.browser_sessions import LIFETIME_MS, BrowserSessions, Visit
from homeserver.accounts.terms import Document
from homeserver.core.errors import Forbidden, MatrixError
from homeserver.http.errors import status_of
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = [
    "Browser", "allowing_return", "failure", "field", "local_path", "login_path", "onward", "redirect",
    "refusal",
    "terms_field",
]  # fmt: skip

_FORM_KEY = "form_key"
_PATH_CHARACTERS_MAX = 8_000


class Browser:
    """Reads and writes what a browser carries.

    Args:
        sessions: knows who is signed in.
        base_url: decides whether the cookie may travel without TLS.
    """

    def __init__(self, *, sessions: BrowserSessions, base_url: str) -> None:
        self.sessions = sessions
        self._is_secure = base_url.startswith("https://")
        # The prefix makes browsers refuse the cookie from anybody but this very host.
        self._cookie = "__Host-isthmus" if self._is_secure else "isthmus"

    async def visit(self, request: Request) -> Visit:
        """Who a browser is signed in as."""
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(request.headers.get("cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        cookie = cookies.get(self._cookie)
        return await self.sessions.visit(None if cookie is None else cookie.value)

    async def submitted(self, request: Request) -> tuple[Visit, Mapping[str, str]]:
        """Read a form of ours.

        Raises:
            Forbidden: the form was made for another browser, or another site sent it.
            OAuthError: the body is no form.
        """
        visit = await self.visit(request)
        form = form_of(request.body)
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise Forbidden("This form was sent by another site.")
        if not visit.owns(form.get(_FORM_KEY, "")):
            raise Forbidden("The form is too old, or this browser keeps no cookies. Load the page again.")
        return visit, form

    def with_cookie(self, response: Response, visit: Visit, *, always: bool = False) -> Response:
        """Give a browser its cookie with a response, if it is new."""
        if not visit.is_new and not always:
            return response
        attributes = f"Path=/; HttpOnly; SameSite=Lax; Max-Age={LIFETIME_MS // 1_000}"
        if self._is_secure:
            attributes += "; Secure"
        cookie = f"{self._cookie}={visit.token}; {attributes}"
        return replace(response, headers={**response.headers, "Set-Cookie": cookie})

    def form(self, visit: Visit, action: str, content: str) -> str:
        """A form, as HTML.

        Args:
            visit: for whom.
            action: where it is sent; a path of ours.
            content: HTML, escaped already.
        """
        return (
            f'<form method="post" action="{escape(action)}">'
            f'<input type="hidden" name="{_FORM_KEY}" value="{visit.form_key}">{content}</form>'
        )


def field(
    name: str, label: str, *, kind: str = "text", complete: str = "off", value: str = "", extra: str = ""
) -> str:
    """A labelled input, as HTML.

    Args:
        name: of the field, and its ID.
        label: what people read.
        kind: of input.
        complete: what browsers may fill in.
        value: there already.
        extra: further attributes, HTML.
    """
    shown = f' value="{escape(value)}"' if value else ""
    return (
        f'<label for="{name}">{escape(label)}</label><input id="{name}" name="{name}" type="{kind}"'
        f' autocomplete="{complete}" autocapitalize="none" spellcheck="false"{shown} {extra or "required"}>'
    )


def failure(error: MatrixError | None) -> str:
    """What went wrong, as HTML that screen readers tell at once."""
    return "" if error is None else f'<p class="wrong" role="alert">{escape(error.error)}</p>'


def refusal(error: MatrixError, *, after: str = "") -> Response:
    """A page that says what went wrong, and leads nowhere but to what comes after it, as HTML."""
    title = "This does not work"
    return page(title, failure(error) + after, status=status_of(error))


def terms_field(documents: Sequence[Document]) -> str:
    """What people have to accept, and where they say so, as HTML; nothing if there is nothing."""
    if not documents:
        return ""
    links = "".join(
        f'<li><a href="{escape(one.url)}" rel="noopener noreferrer">{escape(one.name)}</a></li>'
        for one in documents
    )
    return (
        f'<ul>{links}</ul><label class="check"><input type="checkbox" name="accept" value="yes" required>'
        "I have read and accept these documents.</label>"
    )


def allowing_return(response: Response, *uris: str) -> Response:
    """Let the answer to a form lead elsewhere: browsers hold redirections against `form-action` too."""
    sources = ""
    for parts in map(urlsplit, uris):
        # An IPv6 address cannot be named there, so the scheme has to do.
        is_named = parts.scheme in {"http", "https"} and "[" not in parts.netloc
        sources += f" {parts.scheme}://{parts.netloc}" if is_named else f" {parts.scheme}:"
    policy = response.headers["Content-Security-Policy"].replace(
        "form-action 'self'", f"form-action 'self'{sources}"
    )
    return replace(response, headers={**response.headers, "Content-Security-Policy": policy})


def redirect(location: str) -> Response:
    """Send the browser elsewhere, with GET."""
    headers = {"Location": location, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(303, b"", content_type="text/plain", headers=headers)


def onward(title: str, location: str) -> Response:
    """Send the browser to another site by a page.

    A form before, whose answer leads here, may lead to no other site by redirections; a page of its own may.

    Args:
        title: plain text.
        location: a URL in ASCII.
    """
    content = f'<p>If your browser does not go on by itself: <a href="{escape(location)}">continue</a>.</p>'
    shown = page(title, content)
    return replace(shown, headers={**shown.headers, "Refresh": f"0; url={location}"})


def local_path(text: str | None) -> str:
    """A path of our pages that a browser may go on to; the account page for anything else.

    It comes out of a query, so anybody can have made it: it must not lead to another site.
    """
    if not text or len(text) > _PATH_CHARACTERS_MAX or any(not "!" <= letter <= "~" for letter in text):
        return ACCOUNT
    try:
        parts = urlsplit(text)
    except ValueError:
        return ACCOUNT
    is_ours = parts.path in {AUTHORIZE, ACCOUNT} or parts.path.startswith(ACCOUNT + "/")
    if parts.scheme or parts.netloc or "\\" in text or not is_ours or ".." in parts.path:
        return ACCOUNT
    return text


def login_path(continue_at: str, *, page_path: str = LOGIN) -> str:
    """Where to sign in, and go on from there."""
    return f"{page_path}?continue={quote(continue_at, safe='')}"
