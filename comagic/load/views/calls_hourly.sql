-- One row per day and local hour with calls: how many, how many were missed, and what became of them.
--
-- needs: accounts, calls
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- partition_date: Day in the account's time zone.
-- weekday: Weekday of that day, 1 for Monday to 7 for Sunday.
-- hour: Local hour of the call's start, 0 to 23.
-- calls: Calls in both directions.
-- incoming: Calls to the company.
-- missed: Incoming calls that nobody answered, as in missed_calls; abandoned ones are among them.
-- abandoned: Missed calls whose caller waited less than the setting abandoned_after_seconds.
-- first: Calls that the vendor marks as first.
-- target: Calls that the vendor marks as target.
-- unique_callers: Different numbers among incoming calls; hidden numbers are not counted.
-- talk_seconds: Talk time in seconds, including holds.
WITH marks AS (
    SELECT
        m._dlt_root_id,
        MAX(CASE WHEN m.value = 'first' THEN 1 ELSE 0 END) AS is_first,
        MAX(CASE WHEN m.value = 'target' THEN 1 ELSE 0 END) AS is_target
    FROM calls__attributes AS m
    GROUP BY m._dlt_root_id
),
timed AS (
    SELECT
        a.app_id,
        c.user_id,
        c.partition_date,
        WEEKDAY_OF(c.partition_date) AS weekday,
        HOUR_OF(LOCAL_TIME_OF(c.start_time, a.timezone)) AS hour,
        c.direction,
        c.is_lost,
        SECONDS_WAITED(c) AS waited,
        c.contact_phone_number,
        c.talk_duration,
        k.is_first,
        k.is_target
    FROM calls AS c
    LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
    LEFT JOIN marks AS k ON k._dlt_root_id = c._dlt_id
)
SELECT
    t.app_id,
    t.user_id,
    t.partition_date,
    t.weekday,
    t.hour,
    COUNT(*) AS calls,
    IF_LOADED(COUNT(CASE WHEN t.direction = 'in' THEN 1 END), calls.direction) AS incoming,
    IF_LOADED(COUNT(CASE WHEN t.is_lost AND t.direction = 'in' THEN 1 END), calls.is_lost, calls.direction) AS missed,
    IF_LOADED(
        COUNT(CASE WHEN t.is_lost AND t.direction = 'in' AND t.waited < SETTING('abandoned_after_seconds') THEN 1 END),
        calls.is_lost, calls.direction, calls.wait_duration
    ) AS abandoned,
    IF_LOADED(COUNT(CASE WHEN t.is_first = 1 THEN 1 END), calls__attributes.value) AS first,
    IF_LOADED(COUNT(CASE WHEN t.is_target = 1 THEN 1 END), calls__attributes.value) AS target,
    IF_LOADED(COUNT(DISTINCT CASE
        WHEN t.direction = 'in' AND HAS_DIGIT(t.contact_phone_number) THEN t.contact_phone_number
    END), calls.direction, calls.contact_phone_number) AS unique_callers,
    IF_LOADED(CAST(COALESCE(SUM(t.talk_duration), 0) AS BIGINT), calls.talk_duration) AS talk_seconds
FROM timed AS t
GROUP BY t.app_id, t.user_id, t.partition_date, t.weekday, t.hour
