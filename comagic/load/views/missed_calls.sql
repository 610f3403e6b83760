-- One row per missed call: an incoming call that nobody answered (is_lost and direction = in), and what became of the
-- caller. A caller is recovered by the first later call with the same number, in either direction, that was not lost.
--
-- needs: accounts, calls
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- partition_date: Day of the call in the account's time zone.
-- id: Call id; references calls.id.
-- start_time: Start of the call.
-- start_time_local: The same in the account's time zone.
-- weekday: Local weekday of the start, 1 for Monday to 7 for Sunday.
-- hour: Local hour of the start, 0 to 23.
-- phone: Number of the caller with a leading plus; a pseudonym as it is; null for a hidden number.
-- virtual_phone_number: Company phone number that was called.
-- source: Traffic source; see sources_daily.
-- medium: Traffic medium; see sources_daily.
-- campaign: Advertising campaign of the call.
-- site: Domain of the site of the call.
-- finish_reason: Reason the call ended (code).
-- is_working_hours: False if the call ended because of a schedule (finish_reason), else true.
-- waited_seconds: Seconds that the caller waited.
-- is_abandoned: True if that is less than the setting abandoned_after_seconds.
-- recovered_at: Start of the first later call with the same number that was not lost; null if there is none.
-- recovered_at_local: The same in the account's time zone.
-- recovered_by: Who made that call: callback (the company) or caller (the same caller again).
-- minutes_to_recovery: Minutes from the missed call to that call.
-- lost_call_processing_seconds: Seconds from the missed call to the callback, by the vendor's count.
WITH later AS (
    SELECT
        n.id,
        n.user_id,
        MIN(CASE WHEN n.direction = 'out' AND n.is_lost = FALSE THEN n.start_time END) OVER (
            PARTITION BY n.user_id, n.contact_phone_number
            ORDER BY EPOCH_OF(n.start_time) RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        ) AS called_back_at,
        MIN(CASE WHEN n.direction = 'in' AND n.is_lost = FALSE THEN n.start_time END) OVER (
            PARTITION BY n.user_id, n.contact_phone_number
            ORDER BY EPOCH_OF(n.start_time) RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        ) AS rang_again_at
    FROM calls AS n
    WHERE HAS_DIGIT(n.contact_phone_number)
),
missed AS (
    SELECT
        a.app_id,
        a.timezone,
        c.user_id,
        c.partition_date,
        c.id,
        c.start_time,
        LOCAL_TIME_OF(c.start_time, a.timezone) AS start_time_local,
        CASE
            WHEN IS_DIGITS(c.contact_phone_number) THEN CONCAT('+', c.contact_phone_number)
            WHEN HAS_DIGIT(c.contact_phone_number) THEN c.contact_phone_number
        END AS phone,
        c.virtual_phone_number,
        COALESCE(c.eq_utm_source, c.utm_source, c.source_name) AS source,
        COALESCE(c.eq_utm_medium, c.utm_medium, c.channel) AS medium,
        c.campaign_name AS campaign,
        c.site_domain_name AS site,
        c.finish_reason,
        SECONDS_WAITED(c) AS waited_seconds,
        CASE
            WHEN l.called_back_at IS NULL OR l.rang_again_at < l.called_back_at THEN l.rang_again_at
            ELSE l.called_back_at
        END AS recovered_at,
        CASE
            WHEN l.called_back_at IS NULL AND l.rang_again_at IS NULL THEN NULL
            WHEN l.called_back_at IS NULL OR l.rang_again_at < l.called_back_at THEN 'caller'
            ELSE 'callback'
        END AS recovered_by,
        c.lost_call_processing_duration AS lost_call_processing_seconds
    FROM calls AS c
    LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
    LEFT JOIN later AS l ON l.id = c.id AND COALESCE(l.user_id, 0) = COALESCE(c.user_id, 0)
    WHERE c.is_lost AND c.direction = 'in'
)
SELECT
    m.app_id,
    m.user_id,
    m.partition_date,
    m.id,
    m.start_time,
    m.start_time_local,
    WEEKDAY_OF(m.start_time_local) AS weekday,
    HOUR_OF(m.start_time_local) AS hour,
    m.phone,
    m.virtual_phone_number,
    m.source,
    m.medium,
    m.campaign,
    m.site,
    m.finish_reason,
    IF_LOADED(COALESCE(m.finish_reason, '') NOT IN (
        'no_active_scenario',
        'employee_status_not_at_work',
        'employee_inactive_by_schedule',
        'employee_phone_inactive_by_schedule',
        'group_inactive_by_schedule',
        'phone_group_inactive_by_schedule'
    ), calls.finish_reason) AS is_working_hours,
    m.waited_seconds,
    IF_LOADED(m.waited_seconds < SETTING('abandoned_after_seconds'), calls.wait_duration) AS is_abandoned,
    m.recovered_at,
    LOCAL_TIME_OF(m.recovered_at, m.timezone) AS recovered_at_local,
    m.recovered_by,
    CAST(SECONDS_BETWEEN(m.start_time, m.recovered_at) AS DOUBLE) / 60 AS minutes_to_recovery,
    m.lost_call_processing_seconds
FROM missed AS m
