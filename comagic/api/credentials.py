"""The two kinds of credentials of the Data API, as dlt credential specs; dlt injects whichever is configured."""

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import CredentialsConfiguration
from dlt.common.typing import TSecretStrValue


@configspec
class KeyCredentials(CredentialsConfiguration):
    """A key created in the personal account, permanent or with an expiry date.

    Attributes:
        access_token: the key; `sources.comagic.credentials.access_token`.
    """

    access_token: TSecretStrValue = None  # type: ignore[assignment]  # dlt's way to mark a required field


@configspec
class LoginCredentials(CredentialsConfiguration):
    """Login and password of a user of the account; a one-hour session is opened with them as often as needed.

    Attributes:
        login: `sources.comagic.credentials.login`.
        password: `sources.comagic.credentials.password`.
    """

    login: str = None  # type: ignore[assignment]
    password: TSecretStrValue = None  # type: ignore[assignment]


Credentials = KeyCredentials | LoginCredentials
