-- One row per call, with what the call's own columns do not say at once: its tags, local times, a link to its recording.
--
-- needs: accounts, calls
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- start_time_local: Start of the call in the account's time zone.
-- weekday: Local weekday of the start, 1 for Monday to 7 for Sunday.
-- hour: Local hour of the start, 0 to 23.
-- phone: Number of the caller or callee with a leading plus; a pseudonym as it is; null for a hidden number.
-- traffic_source: utm_source by the account's rules, else utm_source, else the name of the source.
-- traffic_medium: utm_medium by the account's rules, else utm_medium, else the channel.
-- campaign: Name of the advertising campaign, else that of the table campaigns.
-- employee: Name of the employee who answered last, else that of the table employees.
-- site: Domain of the site, else that of the table sites.
-- tags: Names of the call's tags, as an array.
-- tags_text: The same, joined by a comma.
-- is_missed: True for an incoming call that nobody answered; see missed_calls.
-- is_first: True if the vendor marks the call as first.
-- is_target: True if the vendor marks the call as target.
-- recording_url: Link to the first recording of the call; recordings are kept for 30 days to 12 months.
WITH listed AS (
    SELECT
        t._dlt_root_id,
        ARRAY_AGG(t.tag_name ORDER BY t._dlt_list_idx) AS tags
    FROM calls__tags AS t
    WHERE t.tag_name IS NOT NULL
    GROUP BY t._dlt_root_id
),
marks AS (
    SELECT
        m._dlt_root_id,
        MAX(CASE WHEN m.value = 'first' THEN 1 ELSE 0 END) AS is_first,
        MAX(CASE WHEN m.value = 'target' THEN 1 ELSE 0 END) AS is_target
    FROM calls__attributes AS m
    GROUP BY m._dlt_root_id
),
recorded AS (
    SELECT r._dlt_root_id, MIN(r.value) AS record
    FROM calls__call_records AS r
    WHERE r._dlt_list_idx = 0
    GROUP BY r._dlt_root_id
)
SELECT
    COLUMNS_OF(c),
    a.app_id,
    c.user_id,
    LOCAL_TIME_OF(c.start_time, a.timezone) AS start_time_local,
    WEEKDAY_OF(LOCAL_TIME_OF(c.start_time, a.timezone)) AS weekday,
    HOUR_OF(LOCAL_TIME_OF(c.start_time, a.timezone)) AS hour,
    CASE
        WHEN IS_DIGITS(c.contact_phone_number) THEN CONCAT('+', c.contact_phone_number)
        WHEN HAS_DIGIT(c.contact_phone_number) THEN c.contact_phone_number
    END AS phone,
    COALESCE(c.eq_utm_source, c.utm_source, c.source_name) AS traffic_source,
    COALESCE(c.eq_utm_medium, c.utm_medium, c.channel) AS traffic_medium,
    COALESCE(c.campaign_name, p.name) AS campaign,
    COALESCE(c.last_answered_employee_full_name, e.full_name) AS employee,
    COALESCE(c.site_domain_name, s.domain_name) AS site,
    COALESCE(l.tags, NO_TEXTS()) AS tags,
    ARRAY_TO_STRING(l.tags, ', ') AS tags_text,
    IF_LOADED(COALESCE(c.is_lost AND c.direction = 'in', FALSE), calls.is_lost, calls.direction) AS is_missed,
    IF_LOADED(COALESCE(k.is_first = 1, FALSE), calls__attributes.value) AS is_first,
    IF_LOADED(COALESCE(k.is_target = 1, FALSE), calls__attributes.value) AS is_target,
    CASE WHEN r.record IS NOT NULL THEN CONCAT(
        'https://app.', SETTING('brand_host'), '/system/media/talk/',
        CAST(COALESCE(c.communication_id, c.id) AS TEXT), '/', r.record, '/'
    ) END AS recording_url
FROM calls AS c
LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
LEFT JOIN listed AS l ON l._dlt_root_id = c._dlt_id
LEFT JOIN marks AS k ON k._dlt_root_id = c._dlt_id
LEFT JOIN recorded AS r ON r._dlt_root_id = c._dlt_id
LEFT JOIN campaigns AS p ON p.id = c.campaign_id AND COALESCE(p.user_id, 0) = COALESCE(c.user_id, 0)
LEFT JOIN employees AS e
    ON e.id = c.last_answered_employee_id AND COALESCE(e.user_id, 0) = COALESCE(c.user_id, 0)
LEFT JOIN sites AS s ON s.id = c.site_id AND COALESCE(s.user_id, 0) = COALESCE(c.user_id, 0)
