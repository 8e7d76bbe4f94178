"""The page that a browser shows at `/`: what this server is, that it works, and what to do next."""

from html import escape
from string import Template

from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["LandingEndpoints", "landing_page"]

_SPEC = "https://spec.matrix.org/v1.19/#introduction-to-the-matrix-apis"
_HEADERS = {
    # One page without scripts, images or fonts: nothing else may load, and nobody may frame it.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$server_name: Isthmus, a Matrix homeserver</title>
<style>
:root { --ground: #f6f7f5; --card: #fff; --line: #d8deda;
  --ink: #17211d; --faint: #51605a; --accent: #0b6b50 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #101614; --card: #18201d; --line: #2c3934;
    --ink: #e8eeeb; --faint: #a3b2ab; --accent: #5fd3a8 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", sans-serif }
main { max-width: 44rem; margin: 0 auto; padding: clamp(2rem, 8vh, 6rem) 1.25rem 3rem }
h1 { font-size: clamp(2rem, 6vw, 2.75rem); line-height: 1.15; margin: 0 0 .5rem; letter-spacing: -.02em;
  overflow-wrap: anywhere }
h2 { font-size: 1.125rem; margin: 0 0 .5rem }
p { margin: 0 0 .75rem } p:last-child { margin-bottom: 0 }
.works { display: inline-flex; gap: .5rem; align-items: center; color: var(--accent); font-weight: 600 }
.works::before { content: ""; width: .6rem; height: .6rem; border-radius: 50%; background: currentColor }
.lead { color: var(--faint) }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1.25rem 1.5rem; margin-top: 1.25rem }
code { font: .95em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere }
pre { margin: 0 0 .75rem; padding: .75rem 1rem; border-radius: .5rem; background: var(--ground);
  border: 1px solid var(--line); white-space: pre-wrap }
a { color: var(--accent); text-underline-offset: .15em }
a:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: .2rem }
ul { margin: 0 0 .75rem; padding-left: 1.25rem }
footer { margin-top: 2rem; color: var(--faint); font-size: .9375rem }
</style>
</head>
<body>
<main>
<p class="works" role="status">It works</p>
<h1>$server_name</h1>
<p class="lead">This is a <a href="https://matrix.org/">Matrix</a> homeserver: it keeps the rooms and
messages of the people whose names end in <code>:$server_name</code>. It runs Isthmus $version.</p>

<section aria-labelledby="user">
<h2 id="user">Make a user</h2>
<p>On the machine that runs this server:</p>
<pre><code>$command</code></pre>
<p>$registration</p>
</section>

<section aria-labelledby="client">
<h2 id="client">Connect a client</h2>
<p>Any Matrix client will do. Where it asks for a homeserver, give it this address:</p>
<pre><code>$base_url</code></pre>
<ul>
<li><a href="https://element.io/download">Element</a>, in the browser, on the desktop and on phones</li>
<li><a href="https://cinny.in/">Cinny</a>, in the browser and on the desktop</li>
<li><a href="https://fluffychat.im/">FluffyChat</a>, on phones, in the browser and on the desktop</li>
<li><a href="https://nheko-reborn.github.io/">Nheko</a>, on the desktop</li>
</ul>
<p>More are on the list at <a href="https://matrix.org/ecosystem/clients/">matrix.org</a>.</p>
</section>

<footer>Isthmus $version · <a href="/_matrix/client/versions">versions of the specification</a> ·
<a href="/health">health</a></footer>
</main>
</body>
</html>
""")
_REGISTRATION = {
    "open": "Anyone who can reach this server can also register in their client.",
    "token": "Whoever has a registration token can also register in their client.",
    "closed": "Registering in a client is switched off.",
}


def landing_page(*, server_name: str, version: str, base_url: str, command: str, registration: str) -> str:
    """Write the page.

    Args:
        server_name: of this server.
        version: of this software.
        base_url: what to tell a client.
        command: makes a user.
        registration: the mode: open, token or closed.
    """
    facts = {"server_name": server_name, "version": version, "base_url": base_url, "command": command}
    return _PAGE.substitute(
        {name: escape(fact) for name, fact in facts.items()}, registration=_REGISTRATION[registration]
    )


class LandingEndpoints:
    """`GET /`.

    Args:
        page: the HTML.
    """

    def __init__(self, *, page: str) -> None:
        self._answer = Response(
            body=page.encode(), content_type="text/html; charset=utf-8", headers=_HEADERS
        )

    @endpoint("GET", "/", authentication=Authentication.NONE, rate_limit=RateLimit.NONE, spec=_SPEC)
    async def landing(self, request: Request) -> Response:
        """Show the page."""
        del request
        return self._answer
