"""Small identity servers, asked as `OutgoingRequests` are: they bind, and forget for who may ask so."""

import re

import orjson

from homeserver.core.signing import verify_json

HEADER = re.compile(r'X-Matrix origin="([^"]+)",destination="([^"]+)",key="([^"]+)",sig="([^"]+)"')


class IdentityServers:
    """Several, by name, that know the keys of homeservers; as if each were reached at its name."""

    def __init__(self, *names):
        self.bound = {name: {} for name in names}
        self.validated = {}  # what (sid, client_secret) has shown: medium and address
        self.keys = {}  # homeserver -> key ID -> public key
        self.answers = []  # said instead of what would be true, one after the other
        self.asked = []

    async def post(self, url, body, headers):
        server, _, path = url.removeprefix("https://").partition("/")
        content, authorization = orjson.loads(body), headers["Authorization"]
        self.asked.append((url, content, authorization))
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        answers = {"bind": self._bind, "unbind": self._unbind}
        status, answer = answers[path.rpartition("/")[2]](server, "/" + path, content, authorization)
        return status, orjson.dumps(answer)

    def _bind(self, server, _path, content, authorization):
        if authorization != "Bearer token":
            return 401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Who are you?"}
        shown = self.validated.get((content["sid"], content["client_secret"]))
        if shown is None:
            return 404, {"errcode": "M_NO_VALID_SESSION", "error": "No such session."}
        self.bound[server][shown] = content["mxid"]
        medium, address = shown
        return 200, {"medium": medium, "address": address, "mxid": content["mxid"]}

    def _unbind(self, server, path, content, authorization):
        origin, destination, key_id, signature = HEADER.fullmatch(authorization).groups()
        request = {
            "method": "POST", "uri": path, "origin": origin, "destination": destination, "content": content,
            "signatures": {origin: {key_id: signature}},
        }  # fmt: skip
        is_signed = verify_json(request, origin, key_id, self.keys[origin][key_id])
        if not is_signed or destination != server or not content["mxid"].endswith(f":{origin}"):
            return 403, {"errcode": "M_FORBIDDEN", "error": "Invalid homeserver signature"}
        self.bound[server].pop((content["threepid"]["medium"], content["threepid"]["address"]), None)
        return 200, {}
