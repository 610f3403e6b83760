"""A local server of the Data API v2.0 with a synthetic account, for trying and testing readers of the API.

    python -m comagic.sandbox --port 8080

answers at `http://127.0.0.1:8080/v2.0` to the key `sandbox-key` and to the login `sandbox` with the password
`sandbox`. It needs nothing beyond what the pipeline needs. Three parts: `account` makes the calls, `protocol` answers
requests by the API's rules, `server` speaks HTTP; `switches` is all that can be set, faults included.
"""

from .account import SyntheticAccount
from .server import SandboxServer
from .switches import Switches

__all__ = ["SandboxServer", "Switches", "SyntheticAccount"]
