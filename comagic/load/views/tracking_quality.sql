-- One row per day and company phone number: can the sources of its calls be trusted, and is the day a usual one? A number
-- without calls has rows, too: from the table virtual_numbers where it is loaded, and else from the day of its first call.
--
-- needs: accounts, calls
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- partition_date: Day in the account's time zone, from the first to the last day with calls of the account.
-- weekday: Weekday of that day, 1 for Monday to 7 for Sunday.
-- virtual_phone_number: Company phone number.
-- calls: Calls to or from the number.
-- without_source: Calls that have no campaign, no utm_source, no channel and no source.
-- share_without_source: The same as a share of the calls, 0 to 1; null without calls.
-- is_reliable: True if at least nine of ten calls have a source; the vendor names 90 to 95 percent as the bar for decisions.
-- usual_low: Lower end of the band: three standard deviations below the average of the eight same weekdays before.
-- usual_high: Upper end of the band; both are null if there are fewer than four such days.
-- is_unusual: True if the day's calls are outside of that band.
WITH digits AS (
    SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
),
steps AS (
    SELECT i.d + 10 * x.d + 100 * h.d + 1000 * o.d AS n
    FROM digits AS i CROSS JOIN digits AS x CROSS JOIN digits AS h CROSS JOIN digits AS o
),
spans AS (
    SELECT c.user_id, MIN(c.partition_date) AS first_day, MAX(c.partition_date) AS last_day
    FROM calls AS c
    GROUP BY c.user_id
),
numbers AS (
    SELECT b.user_id, b.virtual_phone_number, MIN(b.first_day) AS first_day
    FROM (
        SELECT f.user_id, f.virtual_phone_number, MIN(f.partition_date) AS first_day
        FROM calls AS f
        WHERE f.virtual_phone_number IS NOT NULL
        GROUP BY f.user_id, f.virtual_phone_number
        UNION ALL
        SELECT v.user_id, v.virtual_phone_number, v.activation_day AS first_day
        FROM (
            SELECT
                w.user_id,
                w.virtual_phone_number,
                COALESCE(CAST(LOCAL_TIME_OF(w.activation_date, z.timezone) AS DATE), DATE '2000-01-01') AS activation_day
            FROM virtual_numbers AS w
            LEFT JOIN accounts AS z ON COALESCE(z.user_id, 0) = COALESCE(w.user_id, 0)
        ) AS v
        WHERE v.virtual_phone_number IS NOT NULL
    ) AS b
    GROUP BY b.user_id, b.virtual_phone_number
),
days AS (
    SELECT
        u.user_id,
        u.virtual_phone_number,
        DAY_PLUS(s.first_day, t.n) AS partition_date
    FROM spans AS s
    JOIN numbers AS u ON COALESCE(u.user_id, 0) = COALESCE(s.user_id, 0)
    JOIN steps AS t ON DAY_PLUS(s.first_day, t.n) <= s.last_day
    WHERE DAY_PLUS(s.first_day, t.n) >= u.first_day
),
counted AS (
    SELECT
        g.user_id,
        g.virtual_phone_number,
        g.partition_date,
        SUM(g.calls) AS calls,
        SUM(g.without_source) AS without_source
    FROM (
        SELECT
            k.user_id,
            k.virtual_phone_number,
            k.partition_date,
            1 AS calls,
            CASE
                WHEN COALESCE(k.campaign_id, -1) <= 0
                    AND COALESCE(k.eq_utm_source, k.utm_source, k.source_name, k.channel) IS NULL
                THEN 1 ELSE 0
            END AS without_source
        FROM calls AS k
        UNION ALL
        SELECT e.user_id, e.virtual_phone_number, e.partition_date, 0 AS calls, 0 AS without_source
        FROM days AS e
    ) AS g
    GROUP BY g.user_id, g.virtual_phone_number, g.partition_date
),
usual AS (
    SELECT
        q.user_id,
        q.virtual_phone_number,
        q.partition_date,
        q.calls,
        q.without_source,
        COUNT(*) OVER (
            PARTITION BY q.user_id, q.virtual_phone_number, WEEKDAY_OF(q.partition_date)
            ORDER BY q.partition_date ROWS BETWEEN 8 PRECEDING AND 1 PRECEDING
        ) AS weeks,
        AVG(CAST(q.calls AS DOUBLE)) OVER (
            PARTITION BY q.user_id, q.virtual_phone_number, WEEKDAY_OF(q.partition_date)
            ORDER BY q.partition_date ROWS BETWEEN 8 PRECEDING AND 1 PRECEDING
        ) AS average,
        STDDEV_POP(CAST(q.calls AS DOUBLE)) OVER (
            PARTITION BY q.user_id, q.virtual_phone_number, WEEKDAY_OF(q.partition_date)
            ORDER BY q.partition_date ROWS BETWEEN 8 PRECEDING AND 1 PRECEDING
        ) AS deviation
    FROM counted AS q
),
banded AS (
    SELECT
        p.user_id,
        p.partition_date,
        p.virtual_phone_number,
        p.calls,
        p.without_source,
        CASE WHEN p.weeks >= 4 THEN GREATEST(p.average - 3 * p.deviation, 0) END AS usual_low,
        CASE WHEN p.weeks >= 4 THEN p.average + 3 * p.deviation END AS usual_high
    FROM usual AS p
)
SELECT
    a.app_id,
    y.user_id,
    y.partition_date,
    WEEKDAY_OF(y.partition_date) AS weekday,
    y.virtual_phone_number,
    CAST(y.calls AS BIGINT) AS calls,
    CAST(y.without_source AS BIGINT) AS without_source,
    CAST(y.without_source AS DOUBLE) / NULLIF(y.calls, 0) AS share_without_source,
    CAST(y.without_source AS DOUBLE) / NULLIF(y.calls, 0) <= 0.1 AS is_reliable,
    y.usual_low,
    y.usual_high,
    y.calls < y.usual_low - 0.000001 OR y.calls > y.usual_high + 0.000001 AS is_unusual
FROM banded AS y
LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(y.user_id, 0)
