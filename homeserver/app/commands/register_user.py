"""`homeserver register-user`: makes a user on the running server."""

import hmac
import json
import secrets
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from homeserver.app.commands.options import ConfigFile, load_or_exit
from homeserver.app.data_directory import REGISTRATION_SECRET
from homeserver.config.model import Configuration, Listener

__all__ = ["mac_of", "register_user"]

_PATH = "/_synapse/admin/v1/register"
_TIMEOUT_S = 30
_FAILED = 1


def register_user(
    name: Annotated[str, typer.Argument(help="The part before the colon: alice for @alice:example.org.")],
    *,
    config: ConfigFile = None,
    admin: Annotated[bool, typer.Option("--admin", help="May use the admin API.")] = False,
    password: Annotated[
        str | None, typer.Option(help="Asked for if not given.", show_default=False)
    ] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Make a password up and show it.")] = False,
) -> None:
    """Make a user on the running server of this machine."""
    configuration = load_or_exit(config)
    secret = _secret_of(configuration)
    if generate:
        password = secrets.token_urlsafe(12)
    elif password is None:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    url = _url_of(configuration)
    nonce = _ask(url, None)["nonce"]
    mac = mac_of(secret, nonce, name, password, is_admin=admin)
    answer = _ask(
        url,
        {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac,
         "inhibit_login": True},
    )  # fmt: skip
    typer.echo(f"Made {answer['user_id']}.")
    if generate:
        typer.echo(f"Password: {password}")


def mac_of(secret: str, nonce: str, name: str, password: str, *, is_admin: bool) -> str:
    """The proof that the caller knows the shared secret."""
    words = (nonce, name, password, "admin" if is_admin else "notadmin")
    # HMAC-SHA1 is what this API of Synapse asks for; as a MAC it is not broken.
    return hmac.new(secret.encode(), "\0".join(words).encode(), "sha1").hexdigest()


def _secret_of(configuration: Configuration) -> str:
    if configuration.registration.shared_secret:
        return configuration.registration.shared_secret
    file = Path(configuration.data_directory) / REGISTRATION_SECRET
    try:
        return file.read_text("utf-8").strip()
    except OSError as error:
        raise _failure(
            f"Cannot read {file} ({error.strerror}). Start the server first; then run this with its"
            " configuration and as its user, or set registration.shared_secret."
        ) from None


def _url_of(configuration: Configuration) -> str:
    serving = [one for one in configuration.listeners if "admin" in one.apis]
    if not serving:
        raise _failure("No listener serves the admin API; add it to the apis of one that only you can reach.")
    return _base_url(serving[0]) + _PATH


def _base_url(listener: Listener) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.address, listener.address)  # noqa: S104 - a name
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if listener.tls_certificate else 'http'}://{shown}:{listener.port}"


def _ask(url: str, body: dict[str, Any] | None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(  # noqa: S310 - our own listener
        url, data=data, headers={"Content-Type": "application/json"}
    )
    # The certificate is for the public name, and this is the machine itself.
    unchecked = ssl._create_unverified_context() if url.startswith("https:") else None  # noqa: S323, SLF001 - as above
    try:
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_S, context=unchecked) as answered:  # noqa: S310 - as above
            answer: dict[str, Any] = json.load(answered)
            return answer
    except urllib.error.HTTPError as error:
        raise _failure(_sentence_of(error)) from None
    except OSError as error:
        raise _failure(f"The server does not answer at {url} ({error}). Is it running?") from None


def _sentence_of(error: urllib.error.HTTPError) -> str:
    try:
        sentence = json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        sentence = f"status {error.code}"
    return f"The server refused: {sentence}"


def _failure(sentence: str) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(_FAILED)
