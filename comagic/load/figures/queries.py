"""The queries behind the report and the digest. Each adds up in the destination, so a year of calls is a few rows.

They select from the views' own queries (`{calls_daily}` and the like are replaced by them) and create nothing.
`{since}` and `{until}` are the period's days, `{before}` is the first day of the period before it, `{top}` is the
number of rows of a list. All of them work in DuckDB, BigQuery and PostgreSQL as they are; `OWN` are in the language of
the views' files.
"""

from collections.abc import Mapping

TOP = 15
"""Rows of a list that a chart shows: the largest."""

DAILY = """
SELECT
    v.partition_date,
    SUM(v.calls) AS calls,
    SUM(v.incoming) AS incoming,
    SUM(v.missed) AS missed,
    SUM(v.abandoned) AS abandoned,
    SUM(v.first) AS first_calls,
    SUM(v.target) AS target,
    SUM(v.talk_seconds) AS talk_seconds
FROM {calls_daily} AS v
WHERE v.partition_date BETWEEN {before} AND {until}
GROUP BY v.partition_date
ORDER BY v.partition_date
"""

HOURLY = """
SELECT v.weekday, v.hour, SUM(v.calls) AS calls, SUM(v.incoming) AS incoming, SUM(v.missed) AS missed
FROM {calls_hourly} AS v
WHERE v.partition_date BETWEEN {since} AND {until}
GROUP BY v.weekday, v.hour
ORDER BY v.weekday, v.hour
"""

RECOVERY = """
SELECT
    CASE WHEN v.partition_date >= {since} THEN 1 ELSE 0 END AS is_current,
    CASE
        WHEN v.minutes_to_recovery IS NULL THEN 'never'
        WHEN v.minutes_to_recovery <= 5 THEN '5_minutes'
        WHEN v.minutes_to_recovery <= 20 THEN '20_minutes'
        WHEN v.minutes_to_recovery <= 60 THEN 'hour'
        WHEN v.minutes_to_recovery <= 1440 THEN 'day'
        ELSE 'later'
    END AS recovered_within,
    v.recovered_by,
    v.is_working_hours,
    COUNT(*) AS missed
FROM {missed_calls} AS v
WHERE v.partition_date BETWEEN {before} AND {until}
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
"""
RECOVERED_WITHIN = ("5_minutes", "20_minutes", "hour", "day", "later", "never")

SOURCES = """
SELECT
    v.source,
    v.medium,
    SUM(v.calls) AS calls,
    SUM(v.missed) AS missed,
    SUM(v.target) AS target,
    SUM(v.cost) AS cost,
    COUNT(*) OVER () AS found
FROM {sources_daily} AS v
WHERE v.partition_date BETWEEN {since} AND {until}
GROUP BY v.source, v.medium
ORDER BY SUM(v.calls) DESC, v.source, v.medium
LIMIT {top}
"""

CAMPAIGNS = """
SELECT
    v.campaign_id,
    MAX(v.campaign) AS campaign,
    SUM(v.calls) AS calls,
    SUM(v.missed) AS missed,
    SUM(v.first) AS first_calls,
    SUM(v.target) AS target,
    SUM(v.clicks) AS clicks,
    SUM(v.cost) AS cost,
    COUNT(*) OVER () AS found
FROM {sources_daily} AS v
WHERE v.partition_date BETWEEN {since} AND {until}
GROUP BY v.campaign_id
ORDER BY SUM(v.calls) DESC, v.campaign_id
LIMIT {top}
"""

COSTS = """
SELECT CASE WHEN v.partition_date >= {since} THEN 1 ELSE 0 END AS is_current, SUM(v.cost) AS cost
FROM {sources_daily} AS v
WHERE v.partition_date BETWEEN {before} AND {until}
GROUP BY 1
ORDER BY 1
"""

EMPLOYEES = """
SELECT
    v.employee_id,
    MAX(v.employee) AS employee,
    SUM(v.offered) AS offered,
    SUM(v.answered) AS answered,
    SUM(v.missed) AS missed,
    SUM(v.outgoing) AS outgoing,
    SUM(v.talk_seconds) AS talk_seconds,
    SUM(v.seconds_to_answer * v.answered)
        / NULLIF(SUM(CASE WHEN v.seconds_to_answer IS NOT NULL THEN v.answered END), 0) AS seconds_to_answer,
    COUNT(*) OVER () AS found
FROM {employees_daily} AS v
WHERE v.partition_date BETWEEN {since} AND {until}
GROUP BY v.employee_id
ORDER BY COALESCE(SUM(v.offered), 0) DESC, COALESCE(SUM(v.outgoing), 0) DESC, v.employee_id
LIMIT {top}
"""

TAGS = """
SELECT v.tag_id, MAX(v.tag) AS tag, SUM(v.calls) AS calls, COUNT(*) OVER () AS found
FROM {tags_daily} AS v
WHERE v.partition_date BETWEEN {since} AND {until}
GROUP BY v.tag_id
ORDER BY SUM(v.calls) DESC, v.tag_id
LIMIT {top}
"""

FUNNEL = """
SELECT
    SUM(v.sessions) AS sessions,
    SUM(v.sessions_with_call) AS sessions_with_call,
    SUM(v.calls) AS calls,
    SUM(v.deals) AS deals,
    SUM(v.won_deals) AS won_deals,
    SUM(v.revenue) AS revenue,
    SUM(v.won_revenue) AS won_revenue
FROM {funnel} AS v
WHERE v.week BETWEEN {monday} AND {until}
"""

NUMBERS = """
SELECT
    v.virtual_phone_number,
    SUM(v.calls) AS calls,
    SUM(v.without_source) AS without_source,
    SUM(CASE WHEN v.is_unusual THEN 1 ELSE 0 END) AS unusual_days
FROM {tracking_quality} AS v
WHERE v.partition_date BETWEEN {since} AND {until}
GROUP BY v.virtual_phone_number
ORDER BY SUM(v.calls) DESC, v.virtual_phone_number
"""

LAST_RUN = """
SELECT v.finished_at_local, v.outcome FROM {sync_runs} AS v ORDER BY v.finished_at DESC LIMIT 1
"""

VERIFICATION = """
SELECT v.verified_at, v.period_start, v.period_end, v.agrees, v.is_complete, v.days_differing
FROM {verifications} AS v
WHERE v.resource = 'calls'
ORDER BY v.verified_at DESC
LIMIT 1
"""
"""Of the table that the command verify writes, where it was run."""

OWN: Mapping[str, str] = {
    "bounds": "SELECT MIN(c.partition_date) AS first_day, MAX(c.partition_date) AS last_day FROM calls AS c",
    "accounts": "SELECT a.app_id, a.timezone FROM accounts AS a ORDER BY a.app_id",
    "talk": """
        SELECT
            CASE WHEN c.partition_date >= SETTING('since') THEN 1 ELSE 0 END AS is_current,
            COUNT(*) AS calls,
            SUM(c.talk_duration) AS talk_seconds
        FROM calls AS c
        WHERE c.partition_date BETWEEN SETTING('before') AND SETTING('until')
            AND c.talk_duration IS NOT NULL
            AND c.is_lost = FALSE
        GROUP BY CASE WHEN c.partition_date >= SETTING('since') THEN 1 ELSE 0 END
    """,
    "durations": """
        SELECT t.direction, t.bucket, COUNT(*) AS calls
        FROM (
            SELECT
                c.direction,
                CASE
                    WHEN c.talk_duration < 10 THEN 0
                    WHEN c.talk_duration < 30 THEN 10
                    WHEN c.talk_duration < 60 THEN 30
                    WHEN c.talk_duration < 120 THEN 60
                    WHEN c.talk_duration < 300 THEN 120
                    WHEN c.talk_duration < 600 THEN 300
                    ELSE 600
                END AS bucket
            FROM calls AS c
            WHERE c.partition_date BETWEEN SETTING('since') AND SETTING('until')
                AND c.talk_duration IS NOT NULL
                AND c.is_lost = FALSE
        ) AS t
        GROUP BY t.direction, t.bucket
        ORDER BY t.bucket, t.direction
    """,
    "reached": """
        SELECT r.user_id, MIN(r.first_start) AS first_start, MAX(r.loaded_up_to) AS loaded_up_to
        FROM (
            SELECT
                w.user_id,
                LOCAL_TIME_OF(w.window_start, a.timezone) AS first_start,
                LOCAL_TIME_OF(w.loaded_up_to, a.timezone) AS loaded_up_to
            FROM load_windows AS w
            JOIN _dlt_loads AS l ON l.load_id = w._dlt_load_id AND l.status = 0
            LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(w.user_id, 0)
            WHERE w.resource = 'calls'
        ) AS r
        GROUP BY r.user_id
    """,
    "gaps": """
        SELECT COUNT(*) AS gaps
        FROM (
            SELECT
                w.window_start,
                MAX(w.window_end) OVER (
                    PARTITION BY w.user_id ORDER BY EPOCH_OF(w.window_start), EPOCH_OF(w.window_end)
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS reached
            FROM load_windows AS w
            JOIN _dlt_loads AS l ON l.load_id = w._dlt_load_id AND l.status = 0
            LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(w.user_id, 0)
            WHERE w.resource = 'calls'
                AND CAST(LOCAL_TIME_OF(w.window_end, a.timezone) AS DATE) >= SETTING('since')
                AND CAST(LOCAL_TIME_OF(w.window_start, a.timezone) AS DATE) <= SETTING('until')
        ) AS q
        WHERE q.window_start > q.reached
    """,
    "deficient": """
        SELECT
            w.user_id,
            w.window_start,
            w.window_end,
            w.read_at,
            w.rows_announced - w.rows_received AS missing,
            COALESCE(w.rows_rejected, 0) AS rejected
        FROM load_windows AS w
        JOIN _dlt_loads AS l ON l.load_id = w._dlt_load_id AND l.status = 0
        LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(w.user_id, 0)
        WHERE w.resource = 'calls'
            AND (w.rows_announced > w.rows_received OR w.rows_rejected > 0)
            AND CAST(LOCAL_TIME_OF(w.window_end, a.timezone) AS DATE) >= SETTING('since')
            AND CAST(LOCAL_TIME_OF(w.window_start, a.timezone) AS DATE) <= SETTING('until')
    """,
    "whole": """
        SELECT w.user_id, w.window_start, w.window_end, w.read_at
        FROM load_windows AS w
        JOIN _dlt_loads AS l ON l.load_id = w._dlt_load_id AND l.status = 0
        LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(w.user_id, 0)
        WHERE w.resource = 'calls'
            AND w.rows_announced <= w.rows_received
            AND COALESCE(w.rows_rejected, 0) = 0
            AND CAST(LOCAL_TIME_OF(w.window_end, a.timezone) AS DATE) >= SETTING('since')
            AND CAST(LOCAL_TIME_OF(w.window_start, a.timezone) AS DATE) <= SETTING('until')
        ORDER BY EPOCH_OF(w.window_start)
    """,
}
"""Queries of tables that no view has, in the language of the views' files; see `comagic.load.views.definitions`."""
