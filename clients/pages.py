"""Web pages for people: plain HTML that needs nothing from elsewhere, and no scripts to work."""

import base64
import hashlib
from html import escape
from string import Template

from homeserver.http.response import Response

__all__ = ["DONE_SCRIPT", "page"]

DONE_SCRIPT = """\
if (window.onAuthDone) {
    window.onAuthDone();
} else if (window.opener && window.opener.postMessage) {
    window.opener.postMessage("authDone", "*");
}
"""
"""What the specification wants a page to run when its stage is passed."""

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>$title</title>
<style>
:root { --ground: #f6f7f5; --card: #fff; --line: #d8deda; --ink: #17211d; --faint: #51605a;
  --accent: #0b6b50; --on-accent: #fff; --wrong: #a3261b }
@media (prefers-color-scheme: dark) {
  :root { --ground: #101614; --card: #18201d; --line: #2c3934; --ink: #e8eeeb; --faint: #a3b2ab;
    --accent: #5fd3a8; --on-accent: #06261c; --wrong: #ff9d93 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", sans-serif }
main { max-width: 30rem; margin: 0 auto; padding: clamp(1.5rem, 8vh, 5rem) 1.25rem 3rem }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.5rem }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; overflow-wrap: anywhere }
h2 { font-size: 1.125rem; margin: 1.75rem 0 .5rem }
p { margin: 0 0 1rem } ul { margin: 0 0 1rem; padding-left: 1.25rem }
label { display: block; font-weight: 600; margin-bottom: .25rem }
input[type=text], input[type=password], input[type=email], input[type=tel] { width: 100%; font: inherit;
  padding: .6rem .75rem; margin-bottom: 1rem; border: 1px solid var(--faint); border-radius: .5rem;
  background: var(--ground); color: var(--ink) }
.check { display: flex; gap: .6rem; align-items: baseline; font-weight: 400; margin-bottom: 1rem }
button, a.button { font: inherit; font-weight: 600; padding: .65rem 1.25rem; border: 0; border-radius: .5rem;
  background: var(--accent); color: var(--on-accent); cursor: pointer }
a { color: var(--accent) } a.button { display: inline-block; text-decoration: none }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px }
button.second { background: none; color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent) }
form + form, .after { margin: 1.25rem 0 0 } code { overflow-wrap: anywhere }
.wrong { color: var(--wrong); font-weight: 600 } .faint { color: var(--faint); font-size: .9375rem }
</style>
$head</head>
<body>
<main>
<div class="card">
<h1>$title</h1>
$content
</div>
</main>
$script</body>
</html>
""")


def page(
    title: str, content: str, *, status: int = 200, script: str = "", script_url: str = ""
) -> Response:
    """Put a page together.

    Args:
        title: plain text, shown as the heading too.
        content: HTML, escaped already.
        status: HTTP status.
        script: runs when the page is there.
        script_url: a script of another site that the page loads, and may show frames of.
    """
    inline = f"<script>{script}</script>\n" if script else ""
    head = f'<script src="{escape(script_url)}" async defer></script>\n' if script_url else ""
    body = _PAGE.substitute(title=escape(title), content=content, script=inline, head=head)
    headers = {
        "Content-Security-Policy": _policy(script, script_url),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(status, body.encode(), content_type="text/html; charset=utf-8", headers=headers)


def _policy(script: str, script_url: str) -> str:
    parts = ["default-src 'none'", "style-src 'unsafe-inline'", "form-action 'self'", "base-uri 'none'"]
    allowed = []
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        allowed.append(f"'sha256-{digest}'")
    if script_url:
        # What a riddle loads is its maker's business: any HTTPS, but only on this page.
        allowed.append("https:")
        parts += ["frame-src https:", "img-src https:", "connect-src https:"]
    if allowed:
        parts.append("script-src " + " ".join(allowed))
    parts.append("frame-ancestors 'none'")
    return "; ".join(parts)
