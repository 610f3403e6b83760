-- One row per day and employee whom calls have reached. A call that was transferred counts for each of them.
--
-- needs: accounts, calls, calls__employees
--
-- app_id: Account id; see accounts.
-- user_id: Client of the agency, where several are loaded; else null.
-- partition_date: Day in the account's time zone.
-- employee_id: Employee id; references employees.id.
-- employee: Name of the employee.
-- offered: Incoming calls that reached the employee.
-- answered: Those of them that the employee answered.
-- missed: Those of them that the employee did not answer, whether somebody else did or not.
-- outgoing: Calls from the company that the employee took part in.
-- talk_seconds: Talk time, in seconds, of the calls in which the employee talked, in both directions.
-- seconds_to_answer: Average wait, in seconds, of the callers whom the employee answered.
WITH reached AS (
    SELECT
        r._dlt_root_id,
        r.employee_id,
        MAX(r.employee_full_name) AS employee,
        MAX(CASE WHEN r.is_answered THEN 1 ELSE 0 END) AS is_answered,
        MAX(CASE WHEN r.is_talked THEN 1 ELSE 0 END) AS is_talked
    FROM calls__employees AS r
    GROUP BY r._dlt_root_id, r.employee_id
)
SELECT
    a.app_id,
    c.user_id,
    c.partition_date,
    e.employee_id,
    MAX(COALESCE(e.employee, d.full_name)) AS employee,
    IF_LOADED(COUNT(CASE WHEN c.direction = 'in' THEN 1 END), calls.direction) AS offered,
    IF_LOADED(
        COUNT(CASE WHEN c.direction = 'in' AND e.is_answered = 1 THEN 1 END),
        calls.direction, calls__employees.is_answered
    ) AS answered,
    IF_LOADED(
        COUNT(CASE WHEN c.direction = 'in' AND e.is_answered = 0 THEN 1 END),
        calls.direction, calls__employees.is_answered
    ) AS missed,
    IF_LOADED(COUNT(CASE WHEN c.direction = 'out' THEN 1 END), calls.direction) AS outgoing,
    IF_LOADED(
        CAST(COALESCE(SUM(CASE WHEN e.is_talked = 1 THEN c.talk_duration END), 0) AS BIGINT),
        calls.talk_duration, calls__employees.is_talked
    ) AS talk_seconds,
    CAST(
        AVG(CASE WHEN c.direction = 'in' AND e.is_answered = 1 THEN c.wait_duration END) AS DOUBLE
    ) AS seconds_to_answer
FROM calls AS c
JOIN reached AS e ON e._dlt_root_id = c._dlt_id
LEFT JOIN employees AS d ON d.id = e.employee_id AND COALESCE(d.user_id, 0) = COALESCE(c.user_id, 0)
LEFT JOIN accounts AS a ON COALESCE(a.user_id, 0) = COALESCE(c.user_id, 0)
GROUP BY a.app_id, c.user_id, c.partition_date, e.employee_id
