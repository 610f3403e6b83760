-- One row per day, model, traffic source, medium and campaign: the calls, and the deals that came from them, that the
-- model attributes to a site visit of the caller in the days before the call (setting attribution_days). A call without
-- such a visit keeps its own source, so that each model adds up to all calls.
--
-- needs: accounts, calls, visitor_sessions
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- partition_date: Day of the call in the account's time zone.
-- model: first (the visitor's first visit) or last_non_direct (the last visit that was not direct, else the last one).
-- source: Traffic source of the visit: utm_source, else the name of the source.
-- medium: Traffic medium of the visit: utm_medium, else the channel.
-- campaign_id: Id of the advertising campaign, -1 if none; references campaigns.id.
-- campaign: Name of the advertising campaign.
-- calls: Calls.
-- calls_with_visit: Calls that have a visit in these days; the others count by their own source.
-- share: Share of the calls of the day and model, 0 to 1.
-- deals: Deals that came from these calls, where deals_history is loaded.
-- won_deals: Those of them that are in a stage of success, where sales_funnels is loaded, too.
-- revenue: Revenue of the deals, by their last stage.
-- won_revenue: Revenue of the won deals.
WITH latest AS (
    SELECT
        d.user_id,
        d.communication_id,
        d.communication_type,
        d.revenue,
        d.sales_funnel_ext_id,
        d.stage_ext_id,
        ROW_NUMBER() OVER (
            PARTITION BY d.user_id, d.sales_funnel_ext_id, d.ext_id
            ORDER BY d.modified_stage_date_time DESC, CASE WHEN d.is_generated THEN 1 ELSE 0 END, d.row_id
        ) AS nth
    FROM deals_history AS d
),
won_stages AS (
    SELECT n.user_id, n.ext_id AS sales_funnel_ext_id, g.stage_ext_id
    FROM sales_funnels AS n
    JOIN sales_funnels__stages AS g ON g._dlt_parent_id = n._dlt_id
    WHERE g.stage_status = 'success'
    GROUP BY n.user_id, n.ext_id, g.stage_ext_id
),
deals AS (
    SELECT
        l.user_id,
        l.communication_id,
        COUNT(*) AS deals,
        COUNT(w.stage_ext_id) AS won_deals,
        COALESCE(SUM(l.revenue), 0) AS revenue,
        COALESCE(SUM(CASE WHEN w.stage_ext_id IS NOT NULL THEN l.revenue END), 0) AS won_revenue
    FROM latest AS l
    LEFT JOIN won_stages AS w
        ON w.stage_ext_id = l.stage_ext_id
        AND w.sales_funnel_ext_id = l.sales_funnel_ext_id
        AND COALESCE(w.user_id, 0) = COALESCE(l.user_id, 0)
    WHERE l.nth = 1 AND l.communication_type = 'call'
    GROUP BY l.user_id, l.communication_id
),
visited AS (
    SELECT
        c.user_id,
        c.partition_date,
        c.id,
        CASE WHEN s.id IS NULL THEN 0 ELSE 1 END AS has_visit,
        CASE WHEN s.id IS NULL THEN COALESCE(c.utm_source, c.source_name)
            ELSE COALESCE(s.utm_source, s.source_name) END AS source,
        CASE WHEN s.id IS NULL THEN COALESCE(c.utm_medium, c.channel)
            ELSE COALESCE(s.utm_medium, s.channel) END AS medium,
        CASE WHEN s.id IS NULL THEN c.campaign_id ELSE s.campaign_id END AS campaign_id,
        CASE WHEN s.id IS NULL THEN c.campaign_name ELSE s.campaign_name END AS campaign,
        ROW_NUMBER() OVER (
            PARTITION BY c.user_id, c.partition_date, c.id ORDER BY EPOCH_OF(s.date_time), s.id
        ) AS nth,
        ROW_NUMBER() OVER (
            PARTITION BY c.user_id, c.partition_date, c.id
            ORDER BY
                CASE WHEN s.utm_source IS NULL AND COALESCE(s.channel, 'direct') = 'direct' THEN 1 ELSE 0 END,
                EPOCH_OF(s.date_time) DESC,
                s.id DESC
        ) AS nth_non_direct
    FROM calls AS c
    LEFT JOIN visitor_sessions AS s
        ON s.visitor_id = c.visitor_id
        AND COALESCE(s.user_id, 0) = COALESCE(c.user_id, 0)
        AND s.date_time <= c.start_time
        AND EPOCH_OF(s.date_time) >= EPOCH_OF(c.start_time) - SETTING('attribution_days') * 86400
),
attributed AS (
    SELECT
        v.user_id,
        v.partition_date,
        o.model,
        v.source,
        v.medium,
        v.campaign_id,
        MAX(v.campaign) AS campaign,
        COUNT(*) AS calls,
        SUM(v.has_visit) AS calls_with_visit,
        COALESCE(SUM(x.deals), 0) AS deals,
        COALESCE(SUM(x.won_deals), 0) AS won_deals,
        COALESCE(SUM(x.revenue), 0) AS revenue,
        COALESCE(SUM(x.won_revenue), 0) AS won_revenue
    FROM visited AS v
    JOIN (SELECT 'first' AS model UNION ALL SELECT 'last_non_direct') AS o
        ON (o.model = 'first' AND v.nth = 1) OR (o.model = 'last_non_direct' AND v.nth_non_direct = 1)
    LEFT JOIN deals AS x ON x.communication_id = v.id AND COALESCE(x.user_id, 0) = COALESCE(v.user_id, 0)
    GROUP BY v.user_id, v.partition_date, o.model, v.source, v.medium, v.campaign_id
)
SELECT
    a.app_id,
    t.user_id,
    t.partition_date,
    t.model,
    t.source,
    t.medium,
    t.campaign_id,
    t.campaign,
    t.calls,
    CAST(t.calls_with_visit AS BIGINT) AS calls_with_visit,
    CAST(t.calls AS DOUBLE) / SUM(t.calls) OVER (PARTITION BY t.user_id, t.partition_date, t.model) AS share,
    IF_LOADED(CAST(t.deals AS BIGINT), deals_history.ext_id) AS deals,
    IF_LOADED(CAST(t.won_deals AS BIGINT), deals_history.ext_id, sales_funnels__stages.stage_status) AS won_deals,
    IF_LOADED(CAST(t.revenue AS DOUBLE), deals_history.revenue) AS revenue,
    IF_LOADED(CAST(t.won_revenue AS DOUBLE), deals_history.revenue, sales_funnels__stages.stage_status) AS won_revenue
FROM attributed AS t
LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(t.user_id, 0)
