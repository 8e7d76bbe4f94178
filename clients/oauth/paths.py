"""Where the endpoints and pages of OAuth 2.0 are; clients learn it from the metadata."""

__all__ = [
    "ACCOUNT", "AUTHORIZE", "DEVICE_AUTHORIZATION", "LINK", "LOGIN", "LOGOUT", "REGISTER", "REGISTRATION",
    "REVOCATION", "TOKEN",
]  # fmt: skip

AUTHORIZE = "/oauth2/authorize"
DEVICE_AUTHORIZATION = "/oauth2/device"
REGISTRATION = "/oauth2/registration"
REVOCATION = "/oauth2/revoke"
TOKEN = "/oauth2/token"  # noqa: S105 - a path

ACCOUNT = "/account"
LINK = "/account/link"
LOGIN = "/account/login"
LOGOUT = "/account/logout"
REGISTER = "/account/register"
