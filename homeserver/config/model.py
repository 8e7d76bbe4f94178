"""The configuration as values: frozen, typed, every key with its meaning and default.

`homeserver config defaults` prints this page as TOML.
"""

from dataclasses import dataclass
from typing import Literal

from homeserver.config import checks
from homeserver.config.accounts import (
    IdentitySection,
    JwtSection,
    MailSection,
    PhoneSection,
    Policy,
    RecaptchaSection,
    RegistrationMode,
    RegistrationSection,
    TermsSection,
)
from homeserver.config.federation import FederationSection
from homeserver.config.keys import at_least, between, key, one_of, section
from homeserver.config.oauth import OAuthSection
from homeserver.config.regions import Region
from homeserver.config.sign_in import SignInSection
from homeserver.config.support import SupportSection

__all__ = [
    "Configuration", "DatabaseSection", "E2eeSection", "FederationSection", "IdentitySection", "JwtSection",
    "LimitsSection", "Listener", "LoggingSection", "MailSection", "MetricsSection", "OutgoingSection",
    "PasswordsSection", "PhoneSection", "Policy", "PresenceSection", "RateLimit", "RateLimitsSection",
    "RecaptchaSection", "Region", "RegistrationMode", "RegistrationSection", "RetentionSection",
    "RoomsSection",
    "SignInSection", "SpamLimitsSection", "TermsSection", "ToDeviceSection", "TokensSection",
]  # fmt: skip

Publication = Literal["everyone", "admins"]


@dataclass(frozen=True, slots=True)
class Listener:
    """One address and port to listen on. Without a certificate it speaks plain HTTP."""

    address: str = key("127.0.0.1", "IP address to listen on", check=checks.address)
    port: int = key(8008, "TCP port", check=between(1, 65_535))
    apis: tuple[str, ...] = key(
        ("client", "federation", "admin", "health"), "APIs that are served here", check=checks.apis
    )
    tls_certificate: str = key("", "PEM file with the certificate chain", example="/etc/isthmus/tls.crt")
    tls_key: str = key("", "PEM file with its private key", example="/etc/isthmus/tls.key")
    tls_client_ca: str = key(
        "", "PEM file with the authority of certificates that regions show here; empty: none is asked for",
        example="/etc/isthmus/ca.pem",
    )  # fmt: skip
    trust_x_forwarded_for: bool = key(
        default=False, meaning="whether a proxy in front tells the client's address"
    )


@dataclass(frozen=True, slots=True)
class MetricsSection:
    """Prometheus metrics, on a listener of their own."""

    enabled: bool = key(default=True, meaning="false: no listener")
    address: str = key("127.0.0.1", "IP address to listen on", check=checks.address)
    port: int = key(9008, "TCP port; 0: any that is free", check=between(0, 65_535))


@dataclass(frozen=True, slots=True)
class DatabaseSection:
    """PostgreSQL."""

    dsn: str = key(
        "", "libpq connection string; empty: embedded", example="postgresql://isthmus@db/isthmus", secret=True
    )
    bin_dir: str = key("", "directory of postgres and initdb for the embedded one; empty: look for it",
                       example="/usr/lib/postgresql/15/bin")  # fmt: skip
    pool_size_max: int = key(10, "connections for reads", check=between(2, 1000))


@dataclass(frozen=True, slots=True)
class PasswordsSection:
    """The cost of hashing passwords (argon2id)."""

    memory_kib: int = key(19_456, "memory of one hash", check=between(8, 4_194_304))
    time_cost: int = key(2, "passes over the memory", check=between(1, 100))
    parallelism: int = key(1, "lanes", check=between(1, 64))
    length_min: int = key(8, "characters of a new password", check=between(1, 512))


@dataclass(frozen=True, slots=True)
class TokensSection:
    """Access tokens."""

    access_token_lifetime_ms: int = key(
        300_000,
        "of a token that comes with a refresh token; tokens without one do not end; 0: none does",
        check=at_least(0),
    )


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A bucket: `burst` requests at once, refilled at `per_second`."""

    per_second: float = key(10.0, "requests a second in the long run", check=between(0.001, 1_000_000))
    burst: int = key(50, "requests at once", check=between(1, 1_000_000))


def _limit(per_second: float, burst: int, meaning: str) -> RateLimit:
    made: RateLimit = section(lambda: RateLimit(per_second, burst), meaning)
    return made


@dataclass(frozen=True, slots=True)
class RateLimitsSection:
    """How often a user (or, before login, an address) may ask."""

    enabled: bool = key(default=True, meaning="false switches all rate limits off")
    read: RateLimit = _limit(100.0, 500, "reads")
    message: RateLimit = _limit(20.0, 100, "sending messages and state")
    join: RateLimit = _limit(1.0, 20, "joining rooms")
    invite: RateLimit = _limit(1.0, 30, "inviting")
    room_creation: RateLimit = _limit(0.2, 10, "making rooms")
    login: RateLimit = _limit(0.2, 10, "logging in, by address")
    registration: RateLimit = _limit(0.2, 10, "registering, by address")
    profile: RateLimit = _limit(0.5, 10, "changing the profile")
    report: RateLimit = _limit(0.1, 20, "reporting events, rooms and users")
    to_device: RateLimit = _limit(50.0, 500, "sending messages to devices")
    federation: RateLimit = _limit(500.0, 5_000, "requests of another server, by its name")


@dataclass(frozen=True, slots=True)
class SpamLimitsSection:
    """What a user may reach others with; admins are exempt. Off where all rate limits are off."""

    enabled: bool = key(default=True, meaning="false switches these off")
    invites_per_issuer: RateLimit = _limit(0.2, 300, "invitations that one user sends")
    invites_per_recipient: RateLimit = _limit(0.02, 50, "invitations that one user gets")
    invites_per_room: RateLimit = _limit(0.5, 300, "invitations to one room")
    joins_per_user: RateLimit = _limit(0.2, 100, "joins, and knocks, of one user")
    joins_per_room: RateLimit = _limit(20.0, 1_000, "joins of, and knocks on, one room")
    room_creations: RateLimit = _limit(0.02, 50, "rooms that one user makes")
    invites_per_new_room_max: int = key(200, "users invited while a room is made", check=between(0, 1_000))


@dataclass(frozen=True, slots=True)
class OutgoingSection:
    """Requests that the server makes."""

    ca_file: str = key("", "PEM file with further certificate authorities", example="/etc/isthmus/ca.pem")
    allowed_ranges: tuple[str, ...] = key(
        (), "private networks that may be reached", example=("10.1.0.0/16",), check=checks.address_ranges
    )


@dataclass(frozen=True, slots=True)
class RoomsSection:
    """Rooms."""

    default_room_version: str = key("12", "of new rooms", check=checks.room_version)
    publication: Publication = key(
        "everyone", "everyone or admins: who may list rooms in the directory", example="admins"
    )
    directory_requires_login: bool = key(
        default=False, meaning="true: only users read the room directory and summaries of rooms"
    )
    redacted_content_kept_ms: int = key(
        604_800_000, "how long storage keeps what a redaction took away; 0: not at all", check=at_least(0)
    )
    delayed_event_ms_max: int = key(
        86_400_000, "how long an event can wait to be sent later", check=between(60_000, 31_536_000_000)
    )


@dataclass(frozen=True, slots=True)
class RetentionSection:
    """For how long rooms keep their timelines; state is kept in any case."""

    enabled: bool = key(default=False, meaning="false: every event is kept, whatever a room says")
    default_lifetime_ms: int = key(
        0, "of rooms without m.room.retention; 0: for ever", check=checks.lifetime_or_0
    )
    lifetime_ms_min: int = key(86_400_000, "no room may have less", check=checks.lifetime)
    lifetime_ms_max: int = key(0, "no room may have more; 0: no bound", check=checks.lifetime_or_0)
    class_lifetimes_ms: tuple[int, ...] = key(
        (86_400_000, 604_800_000, 2_592_000_000, 7_776_000_000, 31_536_000_000),
        "storage drops events after one of these, the first that is long enough for the room",
        check=checks.class_lifetimes,
    )


@dataclass(frozen=True, slots=True)
class PresenceSection:
    """Who is online."""

    enabled: bool = key(default=True, meaning="false: nobody is told of anybody's presence")
    room_members_max: int = key(
        100, "in rooms of more, nobody is told of the others' presence", check=between(1, 10_000)
    )


@dataclass(frozen=True, slots=True)
class E2eeSection:
    """End-to-end encryption."""

    keys_shared_rooms_only: bool = key(
        default=False, meaning="true: users ask only for keys of those with whom they share a room"
    )


@dataclass(frozen=True, slots=True)
class ToDeviceSection:
    """Messages that wait for devices."""

    messages_per_device_max: int = key(
        10_000, "more than these do not wait for one device", check=between(100, 1_000_000)
    )
    kept_ms: int = key(
        31_536_000_000, "messages wait so long at least for a device that does not come; 0: for ever",
        check=checks.lifetime_or_0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LoggingSection:
    """What is logged, on standard error."""

    level: str = key(
        "info", "debug, info, warning or error", check=one_of("debug", "info", "warning", "error")
    )
    format: str = key("text", "text or json", check=one_of("text", "json"))


@dataclass(frozen=True, slots=True)
class LimitsSection:
    """Limits of single requests."""

    body_bytes_max: int = key(1_048_576, "of a request's body", check=between(70_000, 1_073_741_824))
    upload_bytes_max: int = key(52_428_800, "of an uploaded file", check=at_least(1))
    header_bytes_max: int = key(32_768, "of a request's headers", check=between(4_096, 1_048_576))
    json_depth_max: int = key(100, "of nested arrays and objects", check=between(10, 250))


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it."""

    server_name: str = key("localhost", "the part after the colon of user IDs; never to be changed",
                           example="example.org", check=checks.server_name)  # fmt: skip
    public_base_url: str = key("", "where clients reach this server; empty: as they asked",
                               example="https://matrix.example.org", check=checks.base_url)  # fmt: skip
    data_directory: str = key("./data", "signing key, embedded PostgreSQL and what else must be kept")
    listeners: tuple[Listener, ...] = key((Listener(),), "where to listen")
    metrics: MetricsSection = section(MetricsSection, "Prometheus metrics")
    database: DatabaseSection = section(DatabaseSection, "PostgreSQL")
    registration: RegistrationSection = section(RegistrationSection, "who may make an account")
    passwords: PasswordsSection = section(PasswordsSection, "hashing of passwords (argon2id)")
    oauth: OAuthSection = section(OAuthSection, "signing in by OAuth 2.0")
    sign_in: SignInSection = section(SignInSection, "signing in by other services")
    terms: TermsSection = section(TermsSection, "what new users accept")
    recaptcha: RecaptchaSection = section(RecaptchaSection, "a riddle that new users solve")
    mail: MailSection = section(MailSection, "the mail server through which e-mail goes out")
    phone: PhoneSection = section(PhoneSection, "text messages to phones")
    identity: IdentitySection = section(IdentitySection, "identity servers")
    jwt: JwtSection = section(JwtSection, "logging in with a token of another service")
    tokens: TokensSection = section(TokensSection, "access tokens")
    rooms: RoomsSection = section(RoomsSection, "rooms")
    retention: RetentionSection = section(RetentionSection, "for how long rooms keep their timelines")
    presence: PresenceSection = section(PresenceSection, "who is online")
    e2ee: E2eeSection = section(E2eeSection, "end-to-end encryption")
    to_device: ToDeviceSection = section(ToDeviceSection, "messages that wait for devices")
    limits: LimitsSection = section(LimitsSection, "limits of single requests")
    rate_limits: RateLimitsSection = section(RateLimitsSection, "how often one may ask")
    spam_limits: SpamLimitsSection = section(SpamLimitsSection, "what a user may reach others with")
    outgoing: OutgoingSection = section(OutgoingSection, "requests that the server makes")
    federation: FederationSection = section(FederationSection, "other Matrix servers")
    regions: tuple[Region, ...] = key((), "the organisation's own other servers")
    support: SupportSection = section(SupportSection, "who helps people with this server")
    logging: LoggingSection = section(LoggingSection, "what is logged, on standard error")
