from homeserver.app.edges import support_of
from homeserver.config.support import Contact, SupportSection


def test_what_nobody_configured_is_not_told():
    assert support_of(SupportSection()) == {}
    assert support_of(SupportSection(page="https://example.org/help")) == {
        "support_page": "https://example.org/help"
    }


def test_contacts_are_told_by_the_ways_to_reach_them():
    section = SupportSection((Contact(email_address="a@example.org"), Contact("m.role.security", "@b:c.d")))

    assert support_of(section) == {
        "contacts": [
            {"role": "m.role.admin", "email_address": "a@example.org"},
            {"role": "m.role.security", "matrix_id": "@b:c.d"},
        ]
    }
