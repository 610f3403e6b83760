"""A receiver of notifications."""

from collections.abc import Iterator
from threading import Thread

import pytest

from tests.support.hook import Hook


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A receiver of notifications, which stops with the test."""
    receiver = Hook()
    thread = Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()
