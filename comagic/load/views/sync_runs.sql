-- One row per run and account: when it ran, how long, what it read, and whether all of it arrived. A run that ended
-- before it had read anything has no row. Runs of an earlier release are split by their load packages.
--
-- needs: accounts, load_windows
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- partition_date: Day on which the run began, in the account's time zone.
-- started_at: When the run began.
-- started_at_local: The same in the account's time zone.
-- finished_at: When its last load package had been loaded.
-- finished_at_local: The same in the account's time zone.
-- seconds: Seconds between the two.
-- resources: Reports and dictionaries that were read.
-- rows_announced: Rows that the API announced.
-- rows_received: Rows that came.
-- rows_loaded: Rows that were handed to the tables.
-- rows_rejected: Rows without a key or time; they are in rejected_rows.
-- requests: API calls.
-- outcome: complete, incomplete (not up to its end yet), rows_missing, rows_rejected, not_loaded (did not end).
WITH windows AS (
    SELECT
        w.user_id,
        COALESCE(CAST(EPOCH_OF(w.run_started_at) AS TEXT), w._dlt_load_id) AS run,
        w.resource,
        COALESCE(w.run_started_at, w.read_at) AS started_at,
        COALESCE(l.inserted_at, w.read_at) AS finished_at,
        w.rows_announced,
        w.rows_received,
        w.rows_loaded,
        w.rows_rejected,
        w.requests,
        CASE WHEN l.load_id IS NULL THEN 1 ELSE 0 END AS is_open,
        w.loaded_up_to,
        w.period_end
    FROM load_windows AS w
    LEFT JOIN _dlt_loads AS l ON l.load_id = w._dlt_load_id AND l.status = 0
),
reached AS (
    SELECT
        i.user_id,
        i.run,
        i.resource,
        MIN(i.started_at) AS started_at,
        MAX(i.finished_at) AS finished_at,
        SUM(i.rows_announced) AS rows_announced,
        SUM(i.rows_received) AS rows_received,
        SUM(i.rows_loaded) AS rows_loaded,
        SUM(i.rows_rejected) AS rows_rejected,
        SUM(i.requests) AS requests,
        MAX(i.is_open) AS is_open,
        CASE WHEN MAX(i.loaded_up_to) < MAX(i.period_end) THEN 1 ELSE 0 END AS is_stopped,
        CASE WHEN SUM(i.rows_announced) > SUM(i.rows_received) THEN 1 ELSE 0 END AS is_short
    FROM windows AS i
    GROUP BY i.user_id, i.run, i.resource
),
runs AS (
    SELECT
        r.user_id,
        r.run,
        MIN(r.started_at) AS started_at,
        MAX(r.finished_at) AS finished_at,
        COUNT(*) AS resources,
        CAST(SUM(r.rows_announced) AS BIGINT) AS rows_announced,
        CAST(SUM(r.rows_received) AS BIGINT) AS rows_received,
        CAST(SUM(r.rows_loaded) AS BIGINT) AS rows_loaded,
        CAST(SUM(r.rows_rejected) AS BIGINT) AS rows_rejected,
        CAST(SUM(r.requests) AS BIGINT) AS requests,
        CASE
            WHEN MAX(r.is_open) = 1 THEN 'not_loaded'
            WHEN SUM(r.rows_rejected) > 0 THEN 'rows_rejected'
            WHEN MAX(r.is_short) = 1 THEN 'rows_missing'
            WHEN MAX(r.is_stopped) = 1 THEN 'incomplete'
            ELSE 'complete'
        END AS outcome
    FROM reached AS r
    GROUP BY r.user_id, r.run
)
SELECT
    a.app_id,
    n.user_id,
    CAST(LOCAL_TIME_OF(n.started_at, a.timezone) AS DATE) AS partition_date,
    n.started_at,
    LOCAL_TIME_OF(n.started_at, a.timezone) AS started_at_local,
    n.finished_at,
    LOCAL_TIME_OF(n.finished_at, a.timezone) AS finished_at_local,
    SECONDS_BETWEEN(n.started_at, n.finished_at) AS seconds,
    n.resources,
    n.rows_announced,
    n.rows_received,
    n.rows_loaded,
    n.rows_rejected,
    n.requests,
    n.outcome
FROM runs AS n
LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(n.user_id, 0)
