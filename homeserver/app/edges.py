"""Gives every endpoint of the client edge the services that it calls."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from clients.admin.registration_tokens import AdminRegistrationTokensEndpoints
from clients.admin.reports import AdminReportsEndpoints
from clients.endpoints.account import AccountEndpoints
from clients.endpoints.account_data import AccountDataEndpoints
from clients.endpoints.account_moderation import AccountModerationEndpoints
from clients.endpoints.admin_register import AdminRegisterEndpoints
from clients.endpoints.aliases import AliasesEndpoints
from clients.endpoints.auth_fallback import AuthFallbackEndpoints
from clients.endpoints.auth_metadata import AuthMetadataEndpoints
from clients.endpoints.capabilities import CapabilitiesEndpoints
from clients.endpoints.context import ContextEndpoints
from clients.endpoints.create_room import CreateRoomEndpoints
from clients.endpoints.cross_signing import CrossSigningEndpoints
from clients.endpoints.deactivation import DeactivationEndpoints
from clients.endpoints.dehydrated_device import DehydratedDeviceEndpoints
from clients.endpoints.delayed_events import DelayedEventsEndpoints
from clients.endpoints.devices import DevicesEndpoints
from clients.endpoints.filters import FiltersEndpoints
from clients.endpoints.history import HistoryEndpoints
from clients.endpoints.initial_sync import InitialSyncEndpoints
from clients.endpoints.key_backup import KeyBackupEndpoints
from clients.endpoints.keys import KeysEndpoints
from clients.endpoints.knock import KnockEndpoints
from clients.endpoints.login import LoginEndpoints
from clients.endpoints.members import MembersEndpoints
from clients.endpoints.membership import MembershipEndpoints
from clients.endpoints.mutual_rooms import MutualRoomsEndpoints
from clients.endpoints.password import PasswordEndpoints
from clients.endpoints.presence import PresenceEndpoints
from clients.endpoints.profile import ProfileEndpoints
from clients.endpoints.push_rules import PushRulesEndpoints
from clients.endpoints.receipts import ReceiptsEndpoints
from clients.endpoints.redaction import RedactionEndpoints
from clients.endpoints.registration import RegistrationEndpoints
from clients.endpoints.relations import RelationsEndpoints
from clients.endpoints.reports import ReportsEndpoints
from clients.endpoints.room_directory import RoomDirectoryEndpoints
from clients.endpoints.room_state import RoomStateEndpoints
from clients.endpoints.room_summary import RoomSummaryEndpoints
from clients.endpoints.sending import SendingEndpoints
from clients.endpoints.short_lived_tokens import ShortLivedTokensEndpoints
from clients.endpoints.sliding_sync import SlidingSyncEndpoints
from clients.endpoints.space_hierarchy import SpaceHierarchyEndpoints
from clients.endpoints.sso_redirect import sso_flow
from clients.endpoints.sync import SyncEndpoints
from clients.endpoints.tags import TagsEndpoints
from clients.endpoints.thread_subscriptions import ThreadSubscriptionsEndpoints
from clients.endpoints.threads import ThreadsEndpoints
from clients.endpoints.threepids import ThreepidsEndpoints
from clients.endpoints.to_device import ToDeviceEndpoints
from clients.endpoints.typing import TypingEndpoints
from clients.endpoints.upgrade import UpgradeEndpoints
from clients.endpoints.validation import ValidationEndpoints
from clients.endpoints.versions import VersionsEndpoints
from clients.endpoints.well_known import WellKnownEndpoints
from homeserver.accounts.guests import Guests
from homeserver.accounts.tags import Tags
from homeserver.app.build import Services
from homeserver.app.build_finding import FindingServices
from homeserver.app.build_history import HistoryServices
from homeserver.app.build_oauth import RESET_PATH, oauth_owners
from homeserver.app.build_rooms import RoomServices
from homeserver.app.build_sign_in import sign_in_owners
from homeserver.app.storage import Runtime
from homeserver.app.version import VERSION
from homeserver.config.model import Configuration
from homeserver.config.support import SupportSection
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.rooms.delayed_events import DelayedEvents
from homeserver.rooms.redacted_reads import RedactedReads
from homeserver.rooms.shared_directory import SharedDirectory

__all__ = ["build_edges", "support_of"]


def build_edges(
    configuration: Configuration, runtime: Runtime, services: Services, base_url: str
) -> list[Endpoint]:
    """Every endpoint of the client and admin APIs.

    Args:
        configuration: of the server.
        runtime: clock and randomness.
        services: what the endpoints call.
        base_url: where clients reach this server.
    """
    owners = (
        *_accounts(configuration, runtime, services, base_url),
        *_oauth(configuration, runtime, services, base_url),
        *_rooms(configuration, services.rooms, services.delayed_events),
        *_finding(configuration, services.rooms.finding),
        FiltersEndpoints(filters=services.filters),
        PresenceEndpoints(presence=services.ephemeral.presence),
        ReceiptsEndpoints(receipts=services.ephemeral.receipts),
        DehydratedDeviceEndpoints(dehydrated_devices=services.encryption.dehydrated_devices),
        KeyBackupEndpoints(key_backups=services.encryption.key_backups),
        CrossSigningEndpoints(
            cross_signing=services.keys.cross_signing, signatures=services.keys.signatures,
            reauthentication=services.accounts.reauthentication, resets=services.oauth.resets,
            reset_url=base_url.rstrip("/") + RESET_PATH,
        ),
        KeysEndpoints(
            device_keys=services.keys.device_keys, one_time_keys=services.keys.one_time_keys,
            notifier=services.notifier,
        ),
        ToDeviceEndpoints(to_device=services.encryption.to_device),
        TypingEndpoints(typing=services.ephemeral.typing),
        InitialSyncEndpoints(
            initial_sync=services.rooms.initial_sync, event_stream=services.event_stream,
            reads=services.sync_reads,
        ),
        SlidingSyncEndpoints(
            sliding_sync=services.sliding_sync, presence=services.ephemeral.presence
        ),
        ThreadSubscriptionsEndpoints(
            subscriptions=services.threads.subscriptions, pages=services.threads.pages
        ),
        SyncEndpoints(
            sync=services.sync, filters=services.filters, presence=services.ephemeral.presence
        ),
    )  # fmt: skip
    return [endpoint for owner in owners for endpoint in endpoints_of(owner)]


def _accounts(
    configuration: Configuration, runtime: Runtime, services: Services, base_url: str
) -> Iterator[object]:
    server_name = configuration.server_name
    logins, interactive, devices = services.logins, services.interactive, services.devices
    yield AccountEndpoints()
    yield AccountDataEndpoints(account_data=services.account_data)
    yield AdminRegisterEndpoints(
        registration=services.registration, logins=logins, interactive=interactive,
        randomness=runtime.randomness, shared_secret=services.registration_secret, server_name=server_name,
    )  # fmt: skip
    yield CapabilitiesEndpoints(
        default_room_version=configuration.rooms.default_room_version,
        delayed_event_ms_max=configuration.rooms.delayed_event_ms_max,
        may_change_addresses=bool(configuration.mail.host or configuration.phone.sender),
    )
    yield AdminRegistrationTokensEndpoints(tokens=services.accounts.registration_tokens)
    yield from _account_care(server_name, services)
    yield from _addresses(services, base_url)
    yield AuthFallbackEndpoints(interactive=interactive, stages=services.accounts.stages)
    yield DevicesEndpoints(
        devices=devices, reauthentication=services.accounts.reauthentication,
        seen=services.account_care.seen,
    )  # fmt: skip
    yield LoginEndpoints(
        logins=logins, access_tokens=services.access_tokens, devices=devices,
        home_regions=services.home_regions,
        login_tokens=services.account_care.short_lived_tokens, base_url=base_url,
        jwt_logins=services.accounts.jwt_logins,
        sso_flow=sso_flow(configuration.sign_in.providers) if configuration.oauth.enabled else None,
    )  # fmt: skip
    yield ProfileEndpoints(profiles=services.profiles, changes=services.profile_changes)
    yield PushRulesEndpoints()
    yield RegistrationEndpoints(
        registration=services.registration, logins=logins, interactive=interactive,
        stages=services.accounts.stages, account_data=services.account_data,
        guests=_guests(configuration, services), policy=configuration.registration,
        server_name=server_name,
    )  # fmt: skip
    yield TagsEndpoints(tags=Tags(services.account_data))
    yield VersionsEndpoints(
        software_version=VERSION, offers_rendezvous=configuration.oauth.enabled
    )
    yield WellKnownEndpoints(base_url=base_url, support=support_of(configuration.support))


def support_of(section: SupportSection) -> dict[str, Any]:
    """What `.well-known/matrix/support` says: nothing that is empty."""
    contacts = [{key: value for key, value in asdict(one).items() if value} for one in section.contacts]
    found = {"contacts": contacts, "support_page": section.page}
    return {key: value for key, value in found.items() if value}


def _account_care(server_name: str, services: Services) -> Iterator[object]:
    care, reauthentication = services.account_care, services.accounts.reauthentication
    yield AccountModerationEndpoints(moderation=care.moderation, seen=care.seen)
    yield DeactivationEndpoints(deactivation=care.deactivation, reauthentication=reauthentication)
    yield PasswordEndpoints(changes=care.password_changes, reauthentication=reauthentication)
    yield ShortLivedTokensEndpoints(
        tokens=care.short_lived_tokens, reauthentication=reauthentication, server_name=server_name
    )


def _addresses(services: Services, base_url: str) -> Iterator[object]:
    addresses = services.accounts.addresses
    yield ThreepidsEndpoints(
        threepids=addresses.threepids, reauthentication=services.accounts.reauthentication,
        identity_servers=addresses.identity_servers,
    )  # fmt: skip
    yield ValidationEndpoints(
        validations=addresses.validations, threepids=addresses.threepids, messages=addresses.messages,
        base_url=base_url,
    )  # fmt: skip


def _guests(configuration: Configuration, services: Services) -> Guests | None:
    if not configuration.registration.guests:
        return None
    return Guests(
        registration=services.registration, logins=services.logins, access_tokens=services.access_tokens
    )


def _oauth(
    configuration: Configuration, runtime: Runtime, services: Services, base_url: str
) -> Iterator[object]:
    yield AuthMetadataEndpoints(
        base_url=base_url, enabled=configuration.oauth.enabled,
        may_register=services.oauth.registration.is_open,
    )  # fmt: skip
    yield from oauth_owners(
        configuration, runtime, services.oauth, base_url, profiles=services.profiles,
        profile_changes=services.profile_changes, care=services.account_care,
    )  # fmt: skip
    yield from sign_in_owners(
        configuration, services.oauth.sign_in, services.oauth.browser_sessions,
        services.account_care.short_lived_tokens, base_url,
    )  # fmt: skip


def _rooms(
    configuration: Configuration, rooms: RoomServices, delayed_events: DelayedEvents
) -> Iterator[object]:
    yield AliasesEndpoints(
        directory=rooms.directory, names=rooms.entry.remote.names, server_name=configuration.server_name
    )
    yield from _history(rooms.history, rooms.redacted_reads)
    yield MembersEndpoints(members=rooms.members)
    yield CreateRoomEndpoints(creation=rooms.creation)
    entry = rooms.entry
    yield KnockEndpoints(knocking=entry.knocking)
    yield UpgradeEndpoints(upgrades=entry.upgrades)
    yield MembershipEndpoints(
        joining=entry.joining, membership=entry.membership, third_party_invites=entry.third_party_invites
    )
    yield RedactionEndpoints(sending=rooms.sending)
    yield DelayedEventsEndpoints(delayed_events=delayed_events)
    yield RoomStateEndpoints(
        sending=rooms.sending, state_reads=rooms.state_reads, delayed_events=delayed_events
    )
    yield SendingEndpoints(sending=rooms.sending, delayed_events=delayed_events)


def _finding(configuration: Configuration, finding: FindingServices) -> Iterator[object]:
    requires_login = configuration.rooms.directory_requires_login
    yield AdminReportsEndpoints(reads=finding.report_reads)
    yield MutualRoomsEndpoints(mutual_rooms=finding.mutual_rooms)
    yield ReportsEndpoints(reporting=finding.reporting)
    yield RoomDirectoryEndpoints(
        published=finding.published, elsewhere=finding.published_elsewhere,
        server_name=configuration.server_name, requires_login=requires_login,
        shared=_shared_directory(configuration, finding),
    )  # fmt: skip
    yield RoomSummaryEndpoints(summaries=finding.summaries, requires_login=requires_login)
    yield SpaceHierarchyEndpoints(hierarchy=finding.hierarchy)


def _shared_directory(configuration: Configuration, finding: FindingServices) -> SharedDirectory | None:
    regions = [one.name for one in configuration.regions if one.name != configuration.server_name]
    if not regions or finding.published_elsewhere is None:
        return None
    return SharedDirectory(
        published=finding.published, elsewhere=finding.published_elsewhere, regions=regions
    )


def _history(history: HistoryServices, redacted_reads: RedactedReads) -> Iterator[object]:
    yield ContextEndpoints(contexts=history.contexts, event_times=history.event_times)
    yield HistoryEndpoints(history=history.history, redacted_reads=redacted_reads)
    yield RelationsEndpoints(relation_reads=history.relation_reads)
    yield ThreadsEndpoints(thread_reads=history.thread_reads)
