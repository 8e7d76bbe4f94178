"""Checks the answers to riddles that tell people from programs.

Spec: https://spec.matrix.org/v1.19/client-server-api/#google-recaptcha
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from homeserver.accounts.ports import OutgoingRequests
from homeserver.core.errors import Forbidden, MissingParam, Unavailable

__all__ = ["RECAPTCHA", "Recaptcha"]

RECAPTCHA = "m.login.recaptcha"
_ANSWER_CHARACTERS_MAX = 8_192


class Recaptcha:
    """Asks the service that made a riddle whether the answer is right.

    Args:
        outgoing: carries the question.
        public_key: shown to clients.
        private_key: shown to the service only.
        verify_url: of the service.
        script_url: what shows the riddle in a browser.
    """

    def __init__(
        self,
        *,
        outgoing: OutgoingRequests,
        public_key: str,
        private_key: str,
        verify_url: str,
        script_url: str,
    ) -> None:
        self._outgoing = outgoing
        self.public_key = public_key
        self.script_url = script_url
        self._private_key = private_key
        self._verify_url = verify_url

    async def check(self, auth: Mapping[str, Any]) -> str:
        """Pass the stage; returns the empty text.

        Raises:
            Forbidden: the answer is wrong.
            MissingParam: there is no answer.
            Unavailable: the service does not say.
        """
        answer = auth.get("response")
        if not isinstance(answer, str) or not answer:
            raise MissingParam("Give the response of the captcha.")
        if len(answer) > _ANSWER_CHARACTERS_MAX:
            raise Forbidden("The captcha was not solved.")
        form = urlencode({"secret": self._private_key, "response": answer}, errors="replace").encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, body = await self._outgoing.post(self._verify_url, form, headers)
        try:
            verdict = orjson.loads(body)
        except orjson.JSONDecodeError:
            verdict = None
        if status != 200 or not isinstance(verdict, dict):
            raise Unavailable("The service that checks captchas does not answer as it should; try again.")
        if verdict.get("success") is not True:
            raise Forbidden("The captcha was not solved.")
        return ""
