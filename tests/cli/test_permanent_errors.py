"""What a retry would not change is acknowledged by the function; what passes is retried."""

import pytest
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException
from google.api_core.exceptions import BadRequest, Forbidden, NotFound, ServiceUnavailable

from comagic.cli.errors import is_permanent


def google(kind: type[Exception], reason: str) -> Exception:
    return kind("message", errors=[{"reason": reason, "message": "message"}])  # type: ignore[call-arg]


class PostgresError(Exception):
    """Like psycopg2's errors, which know the SQLSTATE."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.pgcode = state


LASTING = [
    google(Forbidden, "accessDenied"),
    google(Forbidden, "quotaExceeded"),
    google(Forbidden, "billingNotEnabled"),
    google(NotFound, "notFound"),
    google(BadRequest, "invalidQuery"),
    PostgresError("42501"),  # insufficient_privilege
    PostgresError("28P01"),  # invalid_password
    PostgresError("3D000"),  # invalid_catalog_name
    DatabaseTerminalException(ValueError("invalid value")),
]
PASSING = [
    google(Forbidden, "rateLimitExceeded"),
    google(Forbidden, "jobRateLimitExceeded"),
    google(ServiceUnavailable, "backendError"),
    google(BadRequest, "tableUnavailable"),
    PostgresError("57P01"),  # admin_shutdown
    PostgresError("40001"),  # serialization_failure
    DatabaseTransientException(ValueError("later")),
    ConnectionResetError(),
]


def chain(cause: Exception) -> Exception:
    """The error as dlt raises it: with the destination's as its cause."""
    outer = RuntimeError("Pipeline execution failed")
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_the_destination_will_reject_again_is_permanent(error: Exception) -> None:
    assert is_permanent(chain(error))


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_passes_is_not_permanent(error: Exception) -> None:
    assert not is_permanent(chain(error))


def test_busy_google_is_not_permanent_even_if_dlt_calls_it_terminal() -> None:
    wrapped = DatabaseTerminalException(ValueError("wrapped"))
    wrapped.__cause__ = google(Forbidden, "rateLimitExceeded")
    assert not is_permanent(chain(wrapped))
