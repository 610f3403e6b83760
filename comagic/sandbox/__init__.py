"""A local server of the Data API v2.0 with a synthetic account, to try and test clients of the API.

    python -m comagic.sandbox --port 8080

serves `http://127.0.0.1:8080/v2.0`. Credentials are the key `sandbox-key`, or the login `sandbox` with the password
`sandbox`.

| module | what it does |
| --- | --- |
| `account`, `calls` | the synthetic account and its calls |
| `reports`, `dictionaries` | rows of other reports, made from the calls, and entries of dictionaries |
| `defaults` | values by type, for resources that have nothing but their catalog file |
| `protocol`, `query`, `quota`, `errors` | the API's rules |
| `server` | HTTP |
| `switches` | settings, faults included |
"""

from .account import SyntheticAccount
from .server import SandboxServer
from .switches import Switches

__all__ = ["SandboxServer", "Switches", "SyntheticAccount"]
