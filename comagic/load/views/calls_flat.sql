-- One row per call, with the names of its tags in an array. Works in DuckDB, PostgreSQL and BigQuery.
CREATE OR REPLACE VIEW {view} AS
SELECT calls.*, COALESCE(listed.tags, {empty}) AS tags
FROM {calls} AS calls
LEFT JOIN (
    SELECT _dlt_root_id, ARRAY_AGG(tag_name ORDER BY _dlt_list_idx) AS tags
    FROM {tags}
    WHERE tag_name IS NOT NULL
    GROUP BY _dlt_root_id
) AS listed ON listed._dlt_root_id = calls._dlt_id
