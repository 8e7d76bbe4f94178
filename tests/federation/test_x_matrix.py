import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.x_matrix import PARAMETERS_MAX, XMatrix, parse_x_matrix
from homeserver.core.errors import Unauthorized
from homeserver.core.request_signing import authorization_header
from homeserver.core.signing import SigningKey, encode_base64

SIGNATURE = bytes(range(64))
SIG = encode_base64(SIGNATURE)
PLAIN = f'X-Matrix origin="a.example",destination="b.example",key="ed25519:1",sig="{SIG}"'
PARSED = XMatrix("a.example", "b.example", "ed25519:1", SIGNATURE)


@pytest.mark.parametrize(
    "header",
    [
        PLAIN,
        PLAIN.replace("X-Matrix ", "x-MATRIX   "),
        PLAIN.replace(",", " \t, \t"),
        PLAIN.replace("origin=", "ORIGIN ="),
        PLAIN.replace('"a.example"', "a.example").replace('"ed25519:1"', "ed25519:1"),
        PLAIN.replace("a.example", r"\a.e\xample"),
        PLAIN.replace("sig=", 'more="of \\"it\\"",sig='),
        PLAIN + " ,, ,",
        PLAIN + "  ",
        f'X-Matrix sig="{SIG}==",key=ed25519:1,destination=b.example,origin=a.example',
    ],
)
def test_all_that_the_grammar_allows_is_understood(header):
    assert parse_x_matrix(header) == PARSED


def test_a_port_needs_no_quotes():
    # COMPAT: older servers.
    header = f'X-Matrix origin=a.example:8448,key="ed25519:1",sig="{SIG}"'

    assert parse_x_matrix(header) == XMatrix("a.example:8448", None, "ed25519:1", SIGNATURE)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "X-Matrix",
        "X-Matrix ",
        "Bearer token",
        "X-Matrix\torigin=a",
        PLAIN.replace("origin", "other"),
        PLAIN.replace("sig", "signature"),
        PLAIN.replace("key=", "kee="),
        PLAIN + ',origin="c.example"',
        PLAIN + ',ORIGIN="a.example"',
        PLAIN.replace(",", " "),
        PLAIN.replace(",", ";"),
        PLAIN + ",more",
        PLAIN + ',more="',
        PLAIN + ',more="\\',
        PLAIN + ',more="a\nb"',
        PLAIN.replace('"a.example"', '"a.example'),
        PLAIN.replace('"a.example"', "[::1]"),
        PLAIN.replace("a.example", "a_b!"),
        PLAIN.replace("a.example", "a.example/path"),
        PLAIN.replace("a.example", ""),
        PLAIN.replace("ed25519:1", "rsa:1"),
        PLAIN.replace("ed25519:1", "ed25519:"),
        PLAIN.replace("ed25519:1", "ed25519:a b"),
        PLAIN.replace(SIG, SIG[:-4]),
        PLAIN.replace(SIG, SIG + "AAAA"),
        PLAIN.replace(SIG, "ä" * 86),
        PLAIN.replace(SIG, "*" * 86),
        PLAIN.replace(SIG, ""),
        PLAIN + "," + ",".join(f"a{number}=b" for number in range(PARAMETERS_MAX)),
        PLAIN + ',more="' + "a" * 5_000 + '"',
    ],
)
def test_anything_else_is_refused(header):
    with pytest.raises(Unauthorized):
        parse_x_matrix(header)


@given(
    st.one_of(
        st.text(max_size=60),
        st.builds("X-Matrix {}".format, st.text('origin=key,sig"\\ \t:ed25519a.', max_size=120)),
        st.builds(
            lambda position, text: PLAIN[:position] + text + PLAIN[position:],
            st.integers(0, len(PLAIN)), st.text(max_size=10),
        ),
    )
)
def test_garbage_is_understood_or_refused(header):
    try:
        parsed = parse_x_matrix(header)
    except Unauthorized:
        return
    assert len(parsed.signature) == 64
    assert parsed.key_id.startswith("ed25519:")


def test_a_header_that_never_ends_is_refused_quickly():
    for filling in (",", " ", "a=b,", 'a="\\"', '\\"'):
        with pytest.raises(Unauthorized):
            parse_x_matrix("X-Matrix " + filling * (4_000 // len(filling)))


@given(st.sampled_from(["a.example", "[2001:db8::1]:8448", "192.0.2.1", "xn--bcher-kva.example:1"]))
def test_what_we_write_we_understand(name):
    key = SigningKey.generate(bytes(32), "a_1")
    header = authorization_header("GET", "/x", None, origin=name, destination="b.example", key=key)

    parsed = parse_x_matrix(header)

    assert (parsed.origin, parsed.destination, parsed.key_id) == (name, "b.example", "ed25519:a_1")
