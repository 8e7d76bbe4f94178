from homeserver.core.request_signing import authorization_header
from homeserver.core.signing import SigningKey, verify_json

KEY = SigningKey(bytes(32), "a_1")


def header(content):
    return authorization_header("POST", "/_matrix/x?y=z", content, origin="a", destination="b:1", key=KEY)


def test_a_request_is_signed_as_other_servers_check_it():
    for content in ({"mxid": "@a:a"}, None):
        scheme, _, parameters = header(content).partition(" ")
        said = dict(one.split("=", 1) for one in parameters.replace('"', "").split(","))
        request = {"method": "POST", "uri": "/_matrix/x?y=z", "origin": "a", "destination": "b:1"}
        if content is not None:
            request["content"] = content
        signed = {**request, "signatures": {"a": {"ed25519:a_1": said.pop("sig")}}}

        assert scheme == "X-Matrix"
        assert said == {"origin": "a", "destination": "b:1", "key": "ed25519:a_1"}
        assert verify_json(signed, "a", "ed25519:a_1", KEY.public_key)
