import pytest

from homeserver.core.oauth.pkce import challenge_of, is_challenge, is_verified

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_example_of_rfc_7636_fits():
    assert challenge_of(VERIFIER) == CHALLENGE
    assert is_challenge(CHALLENGE)
    assert is_verified(CHALLENGE, VERIFIER)


@pytest.mark.parametrize("verifier", ["", "short", "x" * 129, VERIFIER + "=", VERIFIER[:-1] + "é", CHALLENGE])
def test_no_other_verifier_fits(verifier):
    assert not is_verified(challenge_of(verifier) if verifier != CHALLENGE else CHALLENGE, verifier)
