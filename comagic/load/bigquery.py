"""dlt's BigQuery destination, which also adds up what its queries are billed for, for the summary.

The job behind each query is asked for as the query ends. Who started a job may look at it, so this needs no role
beyond those for loading; listing jobs would.
"""

from contextlib import contextmanager
from threading import Lock
from typing import Any, Iterator, Optional, Type

import dlt
from dlt.common import logger
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.destinations.impl.bigquery.bigquery import BigQueryClient
from dlt.destinations.impl.bigquery.sql_client import BigQuerySqlClient
from google.api_core.exceptions import GoogleAPIError


class Bill:
    """Bytes that BigQuery bills the queries of this process for; None as long as it reports none."""

    def __init__(self) -> None:
        self.bytes: Optional[int] = None
        self._lock = Lock()

    def add(self, job: Any) -> None:
        """Adds a finished query; an emulator reports nothing."""
        billed = job.total_bytes_billed if job else None
        if billed is not None:
            with self._lock:  # dlt loads in several threads
                self.bytes = (self.bytes or 0) + billed


class BilledBigQuery(dlt.destinations.bigquery):
    """dlt's BigQuery destination with a bill; to dlt it is the same destination.

    Args:
        credentials: access; dlt's configuration where there is none.
        **settings: dlt's own of the destination, such as `replace_strategy`.
    """

    __orig_base__ = dlt.destinations.bigquery  # by whose arguments dlt tells what was given from defaults

    def __init__(self, credentials: Optional[GcpServiceAccountCredentials], **settings: Any) -> None:
        self.bill = Bill()
        super().__init__(credentials, destination_name="bigquery", **settings)  # type: ignore[arg-type]

    @property
    def destination_type(self) -> str:
        """dlt's own, by which pipelines and their states know it."""
        return "dlt.destinations.bigquery"

    @property
    def client_class(self) -> Type[BigQueryClient]:
        """A client whose queries end up on the bill."""
        bill = self.bill

        class Client(BigQueryClient):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                made = self.sql_client
                self.sql_client = SqlClient(
                    made.dataset_name,
                    made.staging_dataset_name,
                    self.config.credentials,
                    self.capabilities,
                    self.config.get_location(),
                    self.config.project_id,
                    self.config.http_timeout,
                    self.config.retry_deadline,
                )

        class SqlClient(BigQuerySqlClient):
            @contextmanager
            def execute_query(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
                with super().execute_query(query, *args, **kwargs) as cursor:
                    try:
                        bill.add(getattr(cursor.native_cursor, "query_job", None))
                    except GoogleAPIError as error:  # the query itself has succeeded
                        logger.debug(f"What a query was billed for is not known: {error}")
                    yield cursor

        return Client
