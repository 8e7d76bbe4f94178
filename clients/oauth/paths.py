"""Where the endpoints and pages of OAuth 2.0 are; clients learn it from the metadata."""

__all__ = [
    "ACCOUNT", "AUTHORIZE", "CONFIRM", "DEVICE_AUTHORIZATION", "LINK", "LOGIN", "LOGOUT", "NEWCOMER",
    "REGISTER", "REGISTRATION", "REVOCATION", "SSO", "TOKEN", "UPSTREAM", "UPSTREAM_CALLBACK",
]  # fmt: skip

AUTHORIZE = "/oauth2/authorize"
DEVICE_AUTHORIZATION = "/oauth2/device"
REGISTRATION = "/oauth2/registration"
REVOCATION = "/oauth2/revoke"
TOKEN = "/oauth2/token"  # noqa: S105 - a path

ACCOUNT = "/account"
CONFIRM = "/account/confirm"
LINK = "/account/link"
LOGIN = "/account/login"
LOGOUT = "/account/logout"
NEWCOMER = "/account/newcomer"
REGISTER = "/account/register"
SSO = "/account/sso"
UPSTREAM = "/account/upstream/{providerId}"
UPSTREAM_CALLBACK = UPSTREAM + "/callback"
