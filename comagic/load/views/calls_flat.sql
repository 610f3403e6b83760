-- One row per call, with the names of its tags in an array. Works in DuckDB and BigQuery.
CREATE OR REPLACE VIEW {view} AS
SELECT
    calls.*,
    ARRAY(
        SELECT tags.tag_name FROM {tags} AS tags
        WHERE tags._dlt_root_id = calls._dlt_id AND tags.tag_name IS NOT NULL
        ORDER BY tags._dlt_list_idx
    ) AS tags
FROM {calls} AS calls
