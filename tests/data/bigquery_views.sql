-- attribution
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
  FROM comagic.deals_history AS d
), won_stages AS (
  SELECT
    n.user_id,
    n.ext_id AS sales_funnel_ext_id,
    g.stage_ext_id
  FROM comagic.sales_funnels AS n
  JOIN comagic.sales_funnels__stages AS g
    ON g._dlt_parent_id = n._dlt_id
  WHERE
    g.stage_status = 'success'
  GROUP BY
    n.user_id,
    n.ext_id,
    g.stage_ext_id
), deals AS (
  SELECT
    l.user_id,
    l.communication_id,
    COUNT(*) AS deals,
    COUNT(w.stage_ext_id) AS won_deals,
    COALESCE(SUM(l.revenue), 0) AS revenue,
    COALESCE(SUM(CASE WHEN NOT w.stage_ext_id IS NULL THEN l.revenue END), 0) AS won_revenue
  FROM latest AS l
  LEFT JOIN won_stages AS w
    ON w.stage_ext_id = l.stage_ext_id
    AND w.sales_funnel_ext_id = l.sales_funnel_ext_id
    AND COALESCE(w.user_id, 0) = COALESCE(l.user_id, 0)
  WHERE
    l.nth = 1 AND l.communication_type = 'call'
  GROUP BY
    l.user_id,
    l.communication_id
), visited AS (
  SELECT
    c.user_id,
    c.partition_date,
    c.id,
    CASE WHEN s.id IS NULL THEN 0 ELSE 1 END AS has_visit,
    CASE
      WHEN s.id IS NULL
      THEN COALESCE(c.utm_source, c.source_name)
      ELSE COALESCE(s.utm_source, s.source_name)
    END AS source,
    CASE
      WHEN s.id IS NULL
      THEN COALESCE(c.utm_medium, c.channel)
      ELSE COALESCE(s.utm_medium, s.channel)
    END AS medium,
    CASE WHEN s.id IS NULL THEN c.campaign_id ELSE s.campaign_id END AS campaign_id,
    CASE WHEN s.id IS NULL THEN c.campaign_name ELSE s.campaign_name END AS campaign,
    ROW_NUMBER() OVER (
      PARTITION BY c.user_id, c.partition_date, c.id
      ORDER BY UNIX_SECONDS(s.date_time), s.id
    ) AS nth,
    ROW_NUMBER() OVER (
      PARTITION BY c.user_id, c.partition_date, c.id
      ORDER BY CASE
        WHEN s.utm_source IS NULL AND COALESCE(s.channel, 'direct') = 'direct'
        THEN 1
        ELSE 0
      END, UNIX_SECONDS(s.date_time) DESC, s.id DESC
    ) AS nth_non_direct
  FROM comagic.calls AS c
  LEFT JOIN comagic.visitor_sessions AS s
    ON s.visitor_id = c.visitor_id
    AND COALESCE(s.user_id, 0) = COALESCE(c.user_id, 0)
    AND s.date_time <= c.start_time
    AND UNIX_SECONDS(s.date_time) >= UNIX_SECONDS(c.start_time) - 180 * 86400
), attributed AS (
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
  JOIN (
    SELECT
      'first' AS model
    UNION ALL
    SELECT
      'last_non_direct'
  ) AS o
    ON (
      o.model = 'first' AND v.nth = 1
    )
    OR (
      o.model = 'last_non_direct' AND v.nth_non_direct = 1
    )
  LEFT JOIN deals AS x
    ON x.communication_id = v.id AND COALESCE(x.user_id, 0) = COALESCE(v.user_id, 0)
  GROUP BY
    v.user_id,
    v.partition_date,
    o.model,
    v.source,
    v.medium,
    v.campaign_id
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
  CAST(t.calls_with_visit AS INT64) AS calls_with_visit,
  CAST(t.calls AS FLOAT64) / NULLIF(SUM(t.calls) OVER (PARTITION BY t.user_id, t.partition_date, t.model), 0) AS share,
  CAST(t.deals AS INT64) AS deals,
  CAST(t.won_deals AS INT64) AS won_deals,
  CAST(t.revenue AS FLOAT64) AS revenue,
  CAST(t.won_revenue AS FLOAT64) AS won_revenue
FROM attributed AS t
LEFT JOIN comagic.accounts AS a
  ON COALESCE(a.user_id, 0) = COALESCE(t.user_id, 0);

-- calls_daily
WITH marks AS (
  SELECT
    m._dlt_root_id,
    MAX(CASE WHEN m.value = 'first' THEN 1 ELSE 0 END) AS is_first,
    MAX(CASE WHEN m.value = 'target' THEN 1 ELSE 0 END) AS is_target
  FROM comagic.calls__attributes AS m
  GROUP BY
    m._dlt_root_id
)
SELECT
  a.app_id,
  c.user_id,
  c.partition_date,
  COUNT(*) AS calls,
  COUNT(CASE WHEN c.direction = 'in' THEN 1 END) AS incoming,
  COUNT(CASE WHEN c.is_lost AND c.direction = 'in' THEN 1 END) AS missed,
  COUNT(
    CASE
      WHEN c.is_lost
      AND c.direction = 'in'
      AND COALESCE(c.wait_duration, c.total_wait_duration, c.total_duration) < 15
      THEN 1
    END
  ) AS abandoned,
  COUNT(CASE WHEN k.is_first = 1 THEN 1 END) AS first,
  COUNT(CASE WHEN k.is_target = 1 THEN 1 END) AS target,
  COUNT(
    DISTINCT CASE
      WHEN c.direction = 'in' AND REGEXP_CONTAINS(c.contact_phone_number, '[0-9]')
      THEN c.contact_phone_number
    END
  ) AS unique_callers,
  CAST(COALESCE(SUM(c.talk_duration), 0) AS INT64) AS talk_seconds
FROM comagic.calls AS c
LEFT JOIN comagic.accounts AS a
  ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
LEFT JOIN marks AS k
  ON k._dlt_root_id = c._dlt_id
GROUP BY
  a.app_id,
  c.user_id,
  c.partition_date;

-- calls_hourly
WITH marks AS (
  SELECT
    m._dlt_root_id,
    MAX(CASE WHEN m.value = 'first' THEN 1 ELSE 0 END) AS is_first,
    MAX(CASE WHEN m.value = 'target' THEN 1 ELSE 0 END) AS is_target
  FROM comagic.calls__attributes AS m
  GROUP BY
    m._dlt_root_id
), timed AS (
  SELECT
    a.app_id,
    c.user_id,
    c.partition_date,
    (
      MOD(EXTRACT(DAYOFWEEK FROM c.partition_date) + 5, 7) + 1
    ) AS weekday,
    EXTRACT(HOUR FROM DATETIME(DATE(c.start_time, a.timezone), TIME(c.start_time, a.timezone))) AS hour,
    c.direction,
    c.is_lost,
    COALESCE(c.wait_duration, c.total_wait_duration, c.total_duration) AS waited,
    c.contact_phone_number,
    c.talk_duration,
    k.is_first,
    k.is_target
  FROM comagic.calls AS c
  LEFT JOIN comagic.accounts AS a
    ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
  LEFT JOIN marks AS k
    ON k._dlt_root_id = c._dlt_id
)
SELECT
  t.app_id,
  t.user_id,
  t.partition_date,
  t.weekday,
  t.hour,
  COUNT(*) AS calls,
  COUNT(CASE WHEN t.direction = 'in' THEN 1 END) AS incoming,
  COUNT(CASE WHEN t.is_lost AND t.direction = 'in' THEN 1 END) AS missed,
  COUNT(CASE WHEN t.is_lost AND t.direction = 'in' AND t.waited < 15 THEN 1 END) AS abandoned,
  COUNT(CASE WHEN t.is_first = 1 THEN 1 END) AS first,
  COUNT(CASE WHEN t.is_target = 1 THEN 1 END) AS target,
  COUNT(
    DISTINCT CASE
      WHEN t.direction = 'in' AND REGEXP_CONTAINS(t.contact_phone_number, '[0-9]')
      THEN t.contact_phone_number
    END
  ) AS unique_callers,
  CAST(COALESCE(SUM(t.talk_duration), 0) AS INT64) AS talk_seconds
FROM timed AS t
GROUP BY
  t.app_id,
  t.user_id,
  t.partition_date,
  t.weekday,
  t.hour;

-- employees_daily
WITH reached AS (
  SELECT
    r._dlt_root_id,
    r.employee_id,
    MAX(r.employee_full_name) AS employee,
    MAX(CASE WHEN r.is_answered THEN 1 ELSE 0 END) AS is_answered,
    MAX(CASE WHEN r.is_talked THEN 1 ELSE 0 END) AS is_talked
  FROM comagic.calls__employees AS r
  GROUP BY
    r._dlt_root_id,
    r.employee_id
)
SELECT
  a.app_id,
  c.user_id,
  c.partition_date,
  e.employee_id,
  MAX(COALESCE(e.employee, d.full_name)) AS employee,
  COUNT(CASE WHEN c.direction = 'in' THEN 1 END) AS offered,
  COUNT(CASE WHEN c.direction = 'in' AND e.is_answered = 1 THEN 1 END) AS answered,
  COUNT(CASE WHEN c.direction = 'in' AND e.is_answered = 0 THEN 1 END) AS missed,
  COUNT(CASE WHEN c.direction = 'out' THEN 1 END) AS outgoing,
  CAST(COALESCE(SUM(CASE WHEN e.is_talked = 1 THEN c.talk_duration END), 0) AS INT64) AS talk_seconds,
  CAST(AVG(CASE WHEN c.direction = 'in' AND e.is_answered = 1 THEN c.wait_duration END) AS FLOAT64) AS seconds_to_answer
FROM comagic.calls AS c
JOIN reached AS e
  ON e._dlt_root_id = c._dlt_id
LEFT JOIN comagic.employees AS d
  ON d.id = e.employee_id AND COALESCE(d.user_id, 0) = COALESCE(c.user_id, 0)
LEFT JOIN comagic.accounts AS a
  ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
GROUP BY
  a.app_id,
  c.user_id,
  c.partition_date,
  e.employee_id;

-- funnel
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
  FROM comagic.deals_history AS d
), won_stages AS (
  SELECT
    n.user_id,
    n.ext_id AS sales_funnel_ext_id,
    g.stage_ext_id
  FROM comagic.sales_funnels AS n
  JOIN comagic.sales_funnels__stages AS g
    ON g._dlt_parent_id = n._dlt_id
  WHERE
    g.stage_status = 'success'
  GROUP BY
    n.user_id,
    n.ext_id,
    g.stage_ext_id
), deals AS (
  SELECT
    l.user_id,
    l.communication_id,
    COUNT(*) AS deals,
    COUNT(w.stage_ext_id) AS won_deals,
    COALESCE(SUM(l.revenue), 0) AS revenue,
    COALESCE(SUM(CASE WHEN NOT w.stage_ext_id IS NULL THEN l.revenue END), 0) AS won_revenue
  FROM latest AS l
  LEFT JOIN won_stages AS w
    ON w.stage_ext_id = l.stage_ext_id
    AND w.sales_funnel_ext_id = l.sales_funnel_ext_id
    AND COALESCE(w.user_id, 0) = COALESCE(l.user_id, 0)
  WHERE
    l.nth = 1 AND l.communication_type = 'call'
  GROUP BY
    l.user_id,
    l.communication_id
), called AS (
  SELECT
    c.user_id,
    c.visitor_session_id,
    COUNT(*) AS calls,
    COALESCE(SUM(x.deals), 0) AS deals,
    COALESCE(SUM(x.won_deals), 0) AS won_deals,
    COALESCE(SUM(x.revenue), 0) AS revenue,
    COALESCE(SUM(x.won_revenue), 0) AS won_revenue
  FROM comagic.calls AS c
  LEFT JOIN deals AS x
    ON x.communication_id = c.id AND COALESCE(x.user_id, 0) = COALESCE(c.user_id, 0)
  WHERE
    NOT c.visitor_session_id IS NULL
  GROUP BY
    c.user_id,
    c.visitor_session_id
), visited AS (
  SELECT
    s.user_id,
    s.id,
    CAST(DATE_TRUNC(s.partition_date, WEEK(MONDAY)) AS DATE) AS week,
    s.campaign_id,
    s.campaign_name
  FROM comagic.visitor_sessions AS s
)
SELECT
  a.app_id,
  v.user_id,
  v.week,
  v.campaign_id,
  MAX(v.campaign_name) AS campaign,
  COUNT(*) AS sessions,
  COUNT(t.calls) AS sessions_with_call,
  CAST(COALESCE(SUM(t.calls), 0) AS INT64) AS calls,
  CAST(COALESCE(SUM(t.deals), 0) AS INT64) AS deals,
  CAST(COALESCE(SUM(t.won_deals), 0) AS INT64) AS won_deals,
  CAST(COALESCE(SUM(t.revenue), 0) AS FLOAT64) AS revenue,
  CAST(COALESCE(SUM(t.won_revenue), 0) AS FLOAT64) AS won_revenue
FROM visited AS v
LEFT JOIN called AS t
  ON t.visitor_session_id = v.id AND COALESCE(t.user_id, 0) = COALESCE(v.user_id, 0)
LEFT JOIN comagic.accounts AS a
  ON COALESCE(a.user_id, 0) = COALESCE(v.user_id, 0)
GROUP BY
  a.app_id,
  v.user_id,
  v.week,
  v.campaign_id;

-- missed_calls
WITH later AS (
  SELECT
    n.id,
    n.user_id,
    MIN(CASE WHEN n.direction = 'out' AND n.is_lost = FALSE THEN n.start_time END) OVER (
      PARTITION BY n.user_id, n.contact_phone_number
      ORDER BY UNIX_SECONDS(n.start_time)
      RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS called_back_at,
    MIN(CASE WHEN n.direction = 'in' AND n.is_lost = FALSE THEN n.start_time END) OVER (
      PARTITION BY n.user_id, n.contact_phone_number
      ORDER BY UNIX_SECONDS(n.start_time)
      RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS rang_again_at
  FROM comagic.calls AS n
  WHERE
    REGEXP_CONTAINS(n.contact_phone_number, '[0-9]')
), missed AS (
  SELECT
    a.app_id,
    a.timezone,
    c.user_id,
    c.partition_date,
    c.id,
    c.start_time,
    DATETIME(DATE(c.start_time, a.timezone), TIME(c.start_time, a.timezone)) AS start_time_local,
    CASE
      WHEN REGEXP_CONTAINS(c.contact_phone_number, '^[0-9]+$')
      THEN CONCAT('+', COALESCE(c.contact_phone_number, ''))
      WHEN REGEXP_CONTAINS(c.contact_phone_number, '[0-9]')
      THEN c.contact_phone_number
    END AS phone,
    c.virtual_phone_number,
    COALESCE(c.eq_utm_source, c.utm_source, c.source_name) AS source,
    COALESCE(c.eq_utm_medium, c.utm_medium, c.channel) AS medium,
    c.campaign_name AS campaign,
    c.site_domain_name AS site,
    c.finish_reason,
    COALESCE(c.wait_duration, c.total_wait_duration, c.total_duration) AS waited_seconds,
    CASE
      WHEN l.called_back_at IS NULL OR l.rang_again_at < l.called_back_at
      THEN l.rang_again_at
      ELSE l.called_back_at
    END AS recovered_at,
    CASE
      WHEN l.called_back_at IS NULL AND l.rang_again_at IS NULL
      THEN NULL
      WHEN l.called_back_at IS NULL OR l.rang_again_at < l.called_back_at
      THEN 'caller'
      ELSE 'callback'
    END AS recovered_by,
    c.lost_call_processing_duration AS lost_call_processing_seconds
  FROM comagic.calls AS c
  LEFT JOIN comagic.accounts AS a
    ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
  LEFT JOIN later AS l
    ON l.id = c.id AND COALESCE(l.user_id, 0) = COALESCE(c.user_id, 0)
  WHERE
    c.is_lost AND c.direction = 'in'
)
SELECT
  m.app_id,
  m.user_id,
  m.partition_date,
  m.id,
  m.start_time,
  m.start_time_local,
  (
    MOD(EXTRACT(DAYOFWEEK FROM m.start_time_local) + 5, 7) + 1
  ) AS weekday,
  EXTRACT(HOUR FROM m.start_time_local) AS hour,
  m.phone,
  m.virtual_phone_number,
  m.source,
  m.medium,
  m.campaign,
  m.site,
  m.finish_reason,
  NOT COALESCE(m.finish_reason, '') IN (
    'no_active_scenario',
    'employee_status_not_at_work',
    'employee_inactive_by_schedule',
    'employee_phone_inactive_by_schedule',
    'group_inactive_by_schedule',
    'phone_group_inactive_by_schedule'
  ) AS is_working_hours,
  m.waited_seconds,
  m.waited_seconds < 15 AS is_abandoned,
  m.recovered_at,
  DATETIME(DATE(m.recovered_at, m.timezone), TIME(m.recovered_at, m.timezone)) AS recovered_at_local,
  m.recovered_by,
  CAST((
    UNIX_SECONDS(m.recovered_at) - UNIX_SECONDS(m.start_time)
  ) AS FLOAT64) / NULLIF(60, 0) AS minutes_to_recovery,
  m.lost_call_processing_seconds
FROM missed AS m;

-- sources_daily
WITH marks AS (
  SELECT
    k._dlt_root_id,
    MAX(CASE WHEN k.value = 'first' THEN 1 ELSE 0 END) AS is_first,
    MAX(CASE WHEN k.value = 'target' THEN 1 ELSE 0 END) AS is_target
  FROM comagic.calls__attributes AS k
  GROUP BY
    k._dlt_root_id
), called AS (
  SELECT
    c.user_id,
    c.partition_date,
    COALESCE(c.eq_utm_source, c.utm_source, c.source_name) AS source,
    COALESCE(c.eq_utm_medium, c.utm_medium, c.channel) AS medium,
    c.campaign_id,
    c.campaign_name,
    CASE
      WHEN c.campaign_id > 0
      THEN CONCAT('campaign ', COALESCE(CAST(c.campaign_id AS STRING), ''))
      WHEN NOT c.source_name IS NULL
      THEN CONCAT('source ', COALESCE(c.source_name, ''))
      ELSE 'none'
    END AS payer,
    CASE WHEN c.is_lost AND c.direction = 'in' THEN 1 ELSE 0 END AS is_missed,
    COALESCE(m.is_first, 0) AS is_first,
    COALESCE(m.is_target, 0) AS is_target,
    CASE
      WHEN c.finish_reason IN ('numa_in_spam_list', 'numa_in_black_list')
      THEN 1
      ELSE 0
    END AS is_spam
  FROM comagic.calls AS c
  LEFT JOIN marks AS m
    ON m._dlt_root_id = c._dlt_id
), counted AS (
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
    CAST(NULL AS INT64) AS clicks,
    CAST(NULL AS FLOAT64) AS cost
  FROM called AS f
  GROUP BY
    f.user_id,
    f.partition_date,
    f.payer,
    f.source,
    f.medium,
    f.campaign_id
  UNION ALL
  SELECT
    d.user_id,
    d.partition_date,
    CONCAT('campaign ', COALESCE(CAST(d.campaign_id AS STRING), '')) AS payer,
    MAX(d.engine) AS source,
    CAST(NULL AS STRING) AS medium,
    d.campaign_id,
    MAX(d.campaign_name) AS campaign,
    0 AS calls,
    0 AS missed,
    0 AS first,
    0 AS target,
    0 AS spam,
    SUM(d.clicks_count) AS clicks,
    SUM(d.cost_sum) AS cost
  FROM comagic.campaign_daily_stat AS d
  GROUP BY
    d.user_id,
    d.partition_date,
    d.campaign_id
  UNION ALL
  SELECT
    u.user_id,
    u.partition_date,
    CONCAT('source ', COALESCE(u.source_name, '')) AS payer,
    u.source_name AS source,
    CAST(NULL AS STRING) AS medium,
    CAST(NULL AS INT64) AS campaign_id,
    CAST(NULL AS STRING) AS campaign,
    0 AS calls,
    0 AS missed,
    0 AS first,
    0 AS target,
    0 AS spam,
    CAST(NULL AS INT64) AS clicks,
    SUM(u.cost) AS cost
  FROM comagic.source_costs AS u
  GROUP BY
    u.user_id,
    u.partition_date,
    u.source_name
), paid AS (
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
), shared AS (
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
    CASE
      WHEN p.calls = 0
      THEN p.clicks
      ELSE p.all_clicks * CAST(p.calls AS FLOAT64) / NULLIF(p.all_calls, 0)
    END AS clicks,
    CASE
      WHEN p.calls = 0
      THEN p.cost
      ELSE p.all_cost * CAST(p.calls AS FLOAT64) / NULLIF(p.all_calls, 0)
    END AS cost
  FROM paid AS p
  WHERE
    p.calls > 0 OR p.all_calls = 0
)
SELECT
  a.app_id,
  s.user_id,
  s.partition_date,
  s.source,
  s.medium,
  s.campaign_id,
  MAX(s.campaign) AS campaign,
  CAST(SUM(s.calls) AS INT64) AS calls,
  CAST(SUM(s.missed) AS INT64) AS missed,
  CAST(SUM(s.first) AS INT64) AS first,
  CAST(SUM(s.target) AS INT64) AS target,
  CAST(SUM(s.spam) AS INT64) AS spam,
  CAST(SUM(s.clicks) AS FLOAT64) AS clicks,
  CAST(SUM(s.cost) AS FLOAT64) AS cost,
  CAST(SUM(s.cost) AS FLOAT64) / NULLIF(NULLIF(SUM(s.calls), 0), 0) AS cost_per_call,
  CAST(SUM(s.cost) AS FLOAT64) / NULLIF(NULLIF(SUM(s.target), 0), 0) AS cost_per_target_call
FROM shared AS s
LEFT JOIN comagic.accounts AS a
  ON COALESCE(a.user_id, 0) = COALESCE(s.user_id, 0)
GROUP BY
  a.app_id,
  s.user_id,
  s.partition_date,
  s.source,
  s.medium,
  s.campaign_id;

-- sync_runs
WITH windows AS (
  SELECT
    w.user_id,
    COALESCE(CAST(UNIX_SECONDS(w.run_started_at) AS STRING), w._dlt_load_id) AS run,
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
  FROM comagic.load_windows AS w
  LEFT JOIN comagic._dlt_loads AS l
    ON l.load_id = w._dlt_load_id AND l.status = 0
), reached AS (
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
  GROUP BY
    i.user_id,
    i.run,
    i.resource
), runs AS (
  SELECT
    r.user_id,
    r.run,
    MIN(r.started_at) AS started_at,
    MAX(r.finished_at) AS finished_at,
    COUNT(*) AS resources,
    CAST(SUM(r.rows_announced) AS INT64) AS rows_announced,
    CAST(SUM(r.rows_received) AS INT64) AS rows_received,
    CAST(SUM(r.rows_loaded) AS INT64) AS rows_loaded,
    CAST(SUM(r.rows_rejected) AS INT64) AS rows_rejected,
    CAST(SUM(r.requests) AS INT64) AS requests,
    CASE
      WHEN MAX(r.is_open) = 1
      THEN 'not_loaded'
      WHEN SUM(r.rows_rejected) > 0
      THEN 'rows_rejected'
      WHEN MAX(r.is_short) = 1
      THEN 'rows_missing'
      WHEN MAX(r.is_stopped) = 1
      THEN 'incomplete'
      ELSE 'complete'
    END AS outcome
  FROM reached AS r
  GROUP BY
    r.user_id,
    r.run
)
SELECT
  a.app_id,
  n.user_id,
  CAST(DATETIME(DATE(n.started_at, a.timezone), TIME(n.started_at, a.timezone)) AS DATE) AS partition_date,
  n.started_at,
  DATETIME(DATE(n.started_at, a.timezone), TIME(n.started_at, a.timezone)) AS started_at_local,
  n.finished_at,
  DATETIME(DATE(n.finished_at, a.timezone), TIME(n.finished_at, a.timezone)) AS finished_at_local,
  (
    UNIX_SECONDS(n.finished_at) - UNIX_SECONDS(n.started_at)
  ) AS seconds,
  n.resources,
  n.rows_announced,
  n.rows_received,
  n.rows_loaded,
  n.rows_rejected,
  n.requests,
  n.outcome
FROM runs AS n
LEFT JOIN comagic.accounts AS a
  ON COALESCE(a.user_id, 0) = COALESCE(n.user_id, 0);

-- tags_daily
SELECT
  a.app_id,
  c.user_id,
  c.partition_date,
  t.tag_id,
  MAX(t.tag_name) AS tag,
  COUNT(DISTINCT c.id) AS calls,
  COUNT(DISTINCT CASE WHEN t.tag_type = 'manual' THEN c.id END) AS tagged_manually,
  CAST(AVG(
    (
      UNIX_SECONDS(t.tag_change_time) - UNIX_SECONDS(COALESCE(c.finish_time, c.start_time))
    )
  ) AS FLOAT64) / NULLIF(60, 0) AS minutes_to_tag
FROM comagic.calls AS c
JOIN comagic.calls__tags AS t
  ON t._dlt_root_id = c._dlt_id
LEFT JOIN comagic.accounts AS a
  ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
GROUP BY
  a.app_id,
  c.user_id,
  c.partition_date,
  t.tag_id;

-- tracking_quality
WITH digits AS (
  SELECT
    0 AS d
  UNION ALL
  SELECT
    1
  UNION ALL
  SELECT
    2
  UNION ALL
  SELECT
    3
  UNION ALL
  SELECT
    4
  UNION ALL
  SELECT
    5
  UNION ALL
  SELECT
    6
  UNION ALL
  SELECT
    7
  UNION ALL
  SELECT
    8
  UNION ALL
  SELECT
    9
), steps AS (
  SELECT
    i.d + 10 * x.d + 100 * h.d + 1000 * o.d AS n
  FROM digits AS i
  CROSS JOIN digits AS x
  CROSS JOIN digits AS h
  CROSS JOIN digits AS o
), spans AS (
  SELECT
    c.user_id,
    MIN(c.partition_date) AS first_day,
    MAX(c.partition_date) AS last_day
  FROM comagic.calls AS c
  GROUP BY
    c.user_id
), numbers AS (
  SELECT
    b.user_id,
    b.virtual_phone_number,
    MIN(b.first_day) AS first_day
  FROM (
    SELECT
      f.user_id,
      f.virtual_phone_number,
      MIN(f.partition_date) AS first_day
    FROM comagic.calls AS f
    WHERE
      NOT f.virtual_phone_number IS NULL
    GROUP BY
      f.user_id,
      f.virtual_phone_number
    UNION ALL
    SELECT
      v.user_id,
      v.virtual_phone_number,
      v.activation_day AS first_day
    FROM (
      SELECT
        w.user_id,
        w.virtual_phone_number,
        COALESCE(
          CAST(DATETIME(DATE(w.activation_date, z.timezone), TIME(w.activation_date, z.timezone)) AS DATE),
          CAST('2000-01-01' AS DATE)
        ) AS activation_day
      FROM comagic.virtual_numbers AS w
      LEFT JOIN comagic.accounts AS z
        ON COALESCE(z.user_id, 0) = COALESCE(w.user_id, 0)
    ) AS v
    WHERE
      NOT v.virtual_phone_number IS NULL
  ) AS b
  GROUP BY
    b.user_id,
    b.virtual_phone_number
), days AS (
  SELECT
    u.user_id,
    u.virtual_phone_number,
    DATE_ADD(s.first_day, INTERVAL t.n DAY) AS partition_date
  FROM spans AS s
  JOIN numbers AS u
    ON COALESCE(u.user_id, 0) = COALESCE(s.user_id, 0)
  JOIN steps AS t
    ON DATE_ADD(s.first_day, INTERVAL t.n DAY) <= s.last_day
  WHERE
    DATE_ADD(s.first_day, INTERVAL t.n DAY) >= u.first_day
), counted AS (
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
        THEN 1
        ELSE 0
      END AS without_source
    FROM comagic.calls AS k
    UNION ALL
    SELECT
      e.user_id,
      e.virtual_phone_number,
      e.partition_date,
      0 AS calls,
      0 AS without_source
    FROM days AS e
  ) AS g
  GROUP BY
    g.user_id,
    g.virtual_phone_number,
    g.partition_date
), usual AS (
  SELECT
    q.user_id,
    q.virtual_phone_number,
    q.partition_date,
    q.calls,
    q.without_source,
    COUNT(*) OVER (
      PARTITION BY q.user_id, q.virtual_phone_number, (
        MOD(EXTRACT(DAYOFWEEK FROM q.partition_date) + 5, 7) + 1
      )
      ORDER BY q.partition_date
      ROWS BETWEEN 8 PRECEDING AND 1 PRECEDING
    ) AS weeks,
    AVG(CAST(q.calls AS FLOAT64)) OVER (
      PARTITION BY q.user_id, q.virtual_phone_number, (
        MOD(EXTRACT(DAYOFWEEK FROM q.partition_date) + 5, 7) + 1
      )
      ORDER BY q.partition_date
      ROWS BETWEEN 8 PRECEDING AND 1 PRECEDING
    ) AS average,
    STDDEV_POP(CAST(q.calls AS FLOAT64)) OVER (
      PARTITION BY q.user_id, q.virtual_phone_number, (
        MOD(EXTRACT(DAYOFWEEK FROM q.partition_date) + 5, 7) + 1
      )
      ORDER BY q.partition_date
      ROWS BETWEEN 8 PRECEDING AND 1 PRECEDING
    ) AS deviation
  FROM counted AS q
), banded AS (
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
  (
    MOD(EXTRACT(DAYOFWEEK FROM y.partition_date) + 5, 7) + 1
  ) AS weekday,
  y.virtual_phone_number,
  CAST(y.calls AS INT64) AS calls,
  CAST(y.without_source AS INT64) AS without_source,
  CAST(y.without_source AS FLOAT64) / NULLIF(NULLIF(y.calls, 0), 0) AS share_without_source,
  CAST(y.without_source AS FLOAT64) / NULLIF(NULLIF(y.calls, 0), 0) <= 0.1 AS is_reliable,
  y.usual_low,
  y.usual_high,
  y.calls < y.usual_low - 0.000001 OR y.calls > y.usual_high + 0.000001 AS is_unusual
FROM banded AS y
LEFT JOIN comagic.accounts AS a
  ON COALESCE(a.user_id, 0) = COALESCE(y.user_id, 0);

