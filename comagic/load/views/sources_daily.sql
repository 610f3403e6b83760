-- One row per day, traffic source, medium and campaign: calls and, where costs are loaded, what they cost. The costs of
-- a campaign on a day are shared among its rows by their calls; costs on a day without a call are a row of their own.
--
-- needs: accounts, calls
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- partition_date: Day in the account's time zone.
-- source: utm_source by the account's rules, else utm_source, else the name of the source; the engine of an ad.
-- medium: utm_medium by the account's rules, else utm_medium, else the channel.
-- campaign_id: Id of the advertising campaign, -1 if none; references campaigns.id.
-- campaign: Name of the advertising campaign.
-- calls: Calls in both directions.
-- missed: Incoming calls that nobody answered, as in missed_calls.
-- first: Calls that the vendor marks as first.
-- target: Calls that the vendor marks as target.
-- spam: Calls that ended because their number is in a list of spam or of blocked numbers (finish_reason).
-- clicks: Clicks on ads, from campaign_daily_stat.
-- cost: Cost, from campaign_daily_stat and source_costs, in the currency of these tables.
-- cost_per_call: Cost divided by calls.
-- cost_per_target_call: Cost divided by target calls.
WITH marks AS (
    SELECT
        k._dlt_root_id,
        MAX(CASE WHEN k.value = 'first' THEN 1 ELSE 0 END) AS is_first,
        MAX(CASE WHEN k.value = 'target' THEN 1 ELSE 0 END) AS is_target
    FROM calls__attributes AS k
    GROUP BY k._dlt_root_id
),
called AS (
    SELECT
        c.user_id,
        c.partition_date,
        COALESCE(c.eq_utm_source, c.utm_source, c.source_name) AS source,
        COALESCE(c.eq_utm_medium, c.utm_medium, c.channel) AS medium,
        c.campaign_id,
        c.campaign_name,
        CASE
            WHEN c.campaign_id > 0 THEN CONCAT('campaign ', CAST(c.campaign_id AS TEXT))
            WHEN c.source_name IS NOT NULL THEN CONCAT('source ', c.source_name)
            ELSE 'none'
        END AS payer,
        CASE WHEN c.is_lost AND c.direction = 'in' THEN 1 ELSE 0 END AS is_missed,
        COALESCE(m.is_first, 0) AS is_first,
        COALESCE(m.is_target, 0) AS is_target,
        CASE WHEN c.finish_reason IN ('numa_in_spam_list', 'numa_in_black_list') THEN 1 ELSE 0 END AS is_spam
    FROM calls AS c
    LEFT JOIN marks AS m ON m._dlt_root_id = c._dlt_id
),
counted AS (
    SELECT
        f.user_id,
        f.partition_date,
        f.payer,
        f.source,
        f.medium,
        f.campaign_id,
        MAX(f.campaign_name) AS campaign,
        COUNT(*) AS calls,
        SUM(f.is_missed) AS missed,
        SUM(f.is_first) AS first,
        SUM(f.is_target) AS target,
        SUM(f.is_spam) AS spam,
        CAST(NULL AS BIGINT) AS clicks,
        CAST(NULL AS DOUBLE) AS cost
    FROM called AS f
    GROUP BY f.user_id, f.partition_date, f.payer, f.source, f.medium, f.campaign_id
    UNION ALL
    SELECT
        d.user_id,
        d.partition_date,
        CONCAT('campaign ', CAST(d.campaign_id AS TEXT)) AS payer,
        MAX(d.engine) AS source,
        CAST(NULL AS TEXT) AS medium,
        d.campaign_id,
        MAX(d.campaign_name) AS campaign,
        0 AS calls,
        0 AS missed,
        0 AS first,
        0 AS target,
        0 AS spam,
        SUM(d.clicks_count) AS clicks,
        SUM(d.cost_sum) AS cost
    FROM campaign_daily_stat AS d
    GROUP BY d.user_id, d.partition_date, d.campaign_id
    UNION ALL
    SELECT
        u.user_id,
        u.partition_date,
        CONCAT('source ', u.source_name) AS payer,
        u.source_name AS source,
        CAST(NULL AS TEXT) AS medium,
        CAST(NULL AS BIGINT) AS campaign_id,
        CAST(NULL AS TEXT) AS campaign,
        0 AS calls,
        0 AS missed,
        0 AS first,
        0 AS target,
        0 AS spam,
        CAST(NULL AS BIGINT) AS clicks,
        SUM(u.cost) AS cost
    FROM source_costs AS u
    GROUP BY u.user_id, u.partition_date, u.source_name
),
paid AS (
    SELECT
        o.user_id,
        o.partition_date,
        o.source,
        o.medium,
        o.campaign_id,
        o.campaign,
        o.calls,
        o.missed,
        o.first,
        o.target,
        o.spam,
        o.clicks,
        o.cost,
        SUM(o.calls) OVER (PARTITION BY o.user_id, o.partition_date, o.payer) AS all_calls,
        SUM(o.clicks) OVER (PARTITION BY o.user_id, o.partition_date, o.payer) AS all_clicks,
        SUM(o.cost) OVER (PARTITION BY o.user_id, o.partition_date, o.payer) AS all_cost
    FROM counted AS o
),
shared AS (
    SELECT
        p.user_id,
        p.partition_date,
        p.source,
        p.medium,
        p.campaign_id,
        p.campaign,
        p.calls,
        p.missed,
        p.first,
        p.target,
        p.spam,
        CASE WHEN p.calls = 0 THEN p.clicks ELSE p.all_clicks * CAST(p.calls AS DOUBLE) / p.all_calls END AS clicks,
        CASE WHEN p.calls = 0 THEN p.cost ELSE p.all_cost * CAST(p.calls AS DOUBLE) / p.all_calls END AS cost
    FROM paid AS p
    WHERE p.calls > 0 OR p.all_calls = 0
)
SELECT
    a.app_id,
    s.user_id,
    s.partition_date,
    s.source,
    s.medium,
    s.campaign_id,
    MAX(s.campaign) AS campaign,
    CAST(SUM(s.calls) AS BIGINT) AS calls,
    IF_LOADED(CAST(SUM(s.missed) AS BIGINT), calls.is_lost, calls.direction) AS missed,
    IF_LOADED(CAST(SUM(s.first) AS BIGINT), calls__attributes.value) AS first,
    IF_LOADED(CAST(SUM(s.target) AS BIGINT), calls__attributes.value) AS target,
    IF_LOADED(CAST(SUM(s.spam) AS BIGINT), calls.finish_reason) AS spam,
    CAST(SUM(s.clicks) AS DOUBLE) AS clicks,
    CAST(SUM(s.cost) AS DOUBLE) AS cost,
    CAST(SUM(s.cost) AS DOUBLE) / NULLIF(SUM(s.calls), 0) AS cost_per_call,
    IF_LOADED(CAST(SUM(s.cost) AS DOUBLE) / NULLIF(SUM(s.target), 0), calls__attributes.value) AS cost_per_target_call
FROM shared AS s
LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(s.user_id, 0)
GROUP BY a.app_id, s.user_id, s.partition_date, s.source, s.medium, s.campaign_id
