"""Errors of the Data API v2.0: mnemonics, codes and messages from the vendor's manual.

Codes of the live API are known to differ from the manual in places; readers should rely on mnemonics.
"""

from collections.abc import Mapping
from typing import Any

INVALID_PARAMS = -32602
"""Code of every error about a parameter."""

CODES: Mapping[str, int] = {
    "parse_error": -32700,
    "invalid_request": -32600,
    "method_not_found": -32601,
    "internal_error": -32603,
    "auth_error": -32001,
    "access_token_invalid": -32001,
    "access_token_expired": -32001,
    "access_token_blocked": -32001,
    "ip_not_whitelisted": -32003,
    "forbidden": -32003,
    "method_component_disabled": -32008,
    "parameter_component_disabled": -32008,
    "account_inactive": -32009,
    "limit_exceeded": -32029,
    "batch_opreations_not_supported": -32099,
    "notifications_not_supported": -32099,
}
"""Code by mnemonic; a mnemonic that is not listed has the code `INVALID_PARAMS`."""

MESSAGES: Mapping[str, str] = {
    "auth_error": "Login or password is wrong",
    "access_token_invalid": "Access token is invalid",
    "access_token_expired": "Access token has been expired",
    "access_token_blocked": "Access token has been blocked",
    "ip_not_whitelisted": "Your IP 127.0.0.1 is not whitelisted",
    "forbidden": "Permission denied",
    "method_component_disabled": "Component is disabled for the method",
    "account_inactive": "Account is inactive",
    "internal_error": "Internal error",
    "date_interval_limit_reached": "The interval between date_from and date_till must not exceed 3 months",
}
"""Message by mnemonic; the others repeat their mnemonic in words."""

ERROR_PARAMS: Mapping[str, Mapping[str, Any]] = {
    "method_component_disabled": {"components": ["dt"]},
    "ip_not_whitelisted": {"ip": "127.0.0.1"},
}
"""`params` of the error by mnemonic."""


class RejectedError(Exception):
    """The request is rejected: the response has `error` instead of `result`.

    Args:
        mnemonic: the API's name of the error.
        message: text for people; default: the mnemonic's own.
        details: parts of `error.data`, such as `field` and `value`.
    """

    def __init__(self, mnemonic: str, message: str = "", **details: Any) -> None:
        self.mnemonic = mnemonic
        self.message = message or MESSAGES.get(mnemonic, mnemonic.replace("_", " ").capitalize())
        self.details = details
        super().__init__(mnemonic)

    def as_json(self, limits: Mapping[str, int]) -> dict[str, Any]:
        """The `error` object of the response.

        Args:
            limits: state of the quota, which errors report too.
        """
        data = {
            "mnemonic": self.mnemonic,
            "field": None,
            "value": None,
            "params": dict(ERROR_PARAMS.get(self.mnemonic, {})),
            "extended_helper": None,
            "metadata": {"limits": limits},
            **self.details,
        }
        return {"code": CODES.get(self.mnemonic, INVALID_PARAMS), "message": self.message, "data": data}
