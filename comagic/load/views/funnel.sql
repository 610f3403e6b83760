-- One row per week and campaign of the site visit: the way from the visit to a call, a deal and money. Calls and deals
-- count in the week of the visit that they came from.
--
-- needs: accounts, calls, deals_history, visitor_sessions
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- week: Monday of the week of the visit, in the account's time zone.
-- campaign_id: Id of the advertising campaign of the visit, -1 if none; references campaigns.id.
-- campaign: Name of that campaign.
-- sessions: Site visits.
-- sessions_with_call: Site visits with a call.
-- calls: Calls during these visits.
-- deals: Deals that came from these calls.
-- won_deals: Those of them that are in a stage of success, where sales_funnels is loaded.
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
called AS (
    SELECT
        c.user_id,
        c.visitor_session_id,
        COUNT(*) AS calls,
        COALESCE(SUM(x.deals), 0) AS deals,
        COALESCE(SUM(x.won_deals), 0) AS won_deals,
        COALESCE(SUM(x.revenue), 0) AS revenue,
        COALESCE(SUM(x.won_revenue), 0) AS won_revenue
    FROM calls AS c
    LEFT JOIN deals AS x ON x.communication_id = c.id AND COALESCE(x.user_id, 0) = COALESCE(c.user_id, 0)
    WHERE c.visitor_session_id IS NOT NULL
    GROUP BY c.user_id, c.visitor_session_id
),
visited AS (
    SELECT s.user_id, s.id, MONDAY_OF(s.partition_date) AS week, s.campaign_id, s.campaign_name
    FROM visitor_sessions AS s
)
SELECT
    a.app_id,
    v.user_id,
    v.week,
    v.campaign_id,
    MAX(v.campaign_name) AS campaign,
    COUNT(*) AS sessions,
    COUNT(t.calls) AS sessions_with_call,
    CAST(COALESCE(SUM(t.calls), 0) AS BIGINT) AS calls,
    CAST(COALESCE(SUM(t.deals), 0) AS BIGINT) AS deals,
    IF_LOADED(CAST(COALESCE(SUM(t.won_deals), 0) AS BIGINT), sales_funnels__stages.stage_status) AS won_deals,
    IF_LOADED(CAST(COALESCE(SUM(t.revenue), 0) AS DOUBLE), deals_history.revenue) AS revenue,
    IF_LOADED(
        CAST(COALESCE(SUM(t.won_revenue), 0) AS DOUBLE),
        deals_history.revenue, sales_funnels__stages.stage_status
    ) AS won_revenue
FROM visited AS v
LEFT JOIN called AS t ON t.visitor_session_id = v.id AND COALESCE(t.user_id, 0) = COALESCE(v.user_id, 0)
LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(v.user_id, 0)
GROUP BY a.app_id, v.user_id, v.week, v.campaign_id
