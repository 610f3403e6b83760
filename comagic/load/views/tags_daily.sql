-- One row per day of the call and tag.
--
-- needs: accounts, calls, calls__tags
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- partition_date: Day of the call in the account's time zone.
-- tag_id: Tag id; references tags.id.
-- tag: Name of the tag.
-- calls: Calls that have the tag.
-- tagged_manually: Those of them whose tag a person has assigned.
-- minutes_to_tag: Average minutes from the end of the call, or its start if it has no end, to its tag.
SELECT
    a.app_id,
    c.user_id,
    c.partition_date,
    t.tag_id,
    MAX(t.tag_name) AS tag,
    COUNT(DISTINCT c.id) AS calls,
    IF_LOADED(COUNT(DISTINCT CASE WHEN t.tag_type = 'manual' THEN c.id END), calls__tags.tag_type) AS tagged_manually,
    CAST(AVG(SECONDS_BETWEEN(COALESCE(c.finish_time, c.start_time), t.tag_change_time)) AS DOUBLE) / 60 AS minutes_to_tag
FROM calls AS c
JOIN calls__tags AS t ON t._dlt_root_id = c._dlt_id
LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
GROUP BY a.app_id, c.user_id, c.partition_date, t.tag_id
