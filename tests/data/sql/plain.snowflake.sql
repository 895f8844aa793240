WITH "t6" AS (
  SELECT
    "t5"."customer",
    "t5"."reason",
    COUNT(*) AS "purchases",
    MIN("t5"."period") AS "first",
    MAX("t5"."period") AS "last",
    MIN_BY("t5"."total", "t5"."period") AS "first_value",
    SUM(LN(CAST("t5"."gap" AS DOUBLE))) AS "log_gaps",
    SUM("t5"."rows") AS "rows",
    SUM("t5"."total") AS "total"
  FROM (
    SELECT
      "t4"."customer",
      "t4"."period",
      "t4"."reason",
      "t4"."rows",
      "t4"."total",
      "t4"."period" - LAG("t4"."period") OVER (PARTITION BY "t4"."customer", "t4"."reason" ORDER BY "t4"."period" ASC) AS "gap"
    FROM (
      SELECT
        "t3"."customer",
        "t3"."period",
        "t3"."reason",
        COUNT(*) AS "rows",
        SUM("t3"."amount") AS "total"
      FROM (
        SELECT
          "t2"."period",
          "t2"."reason",
          IFF("t2"."reason" = 0, "t2"."customer", NULL) AS "customer",
          IFF("t2"."finite", "t2"."amount", 0.0) AS "amount"
        FROM (
          SELECT
            "t1"."customer",
            "t1"."no_customer",
            "t1"."no_date",
            "t1"."period",
            "t1"."amount",
            "t1"."finite",
            CASE
              WHEN "t1"."no_customer"
              THEN 1
              WHEN "t1"."no_date"
              THEN 2
              WHEN "t1"."period" IS NULL
              THEN 3
              WHEN NOT (
                "t1"."finite"
              )
              THEN 4
              WHEN "t1"."amount" < 0.0
              THEN 8
              ELSE 0
            END AS "reason"
          FROM (
            SELECT
              "t0"."customer",
              (
                "t0"."customer" IS NULL
              ) OR (
                "t0"."customer" = ''
              ) AS "no_customer",
              "t0"."moment" IS NULL AS "no_date",
              DATEDIFF(DAY, DATE_FROM_PARTS(1970, 1, 1), CAST(CAST("t0"."moment" AS TIMESTAMP) AS DATE)) AS "period",
              CAST("t0"."paid" AS DOUBLE) AS "amount",
              NOT (
                (
                  CAST("t0"."paid" AS DOUBLE) IS NULL
                )
                OR (
                  CAST("t0"."paid" AS DOUBLE) = CAST('NaN' AS DOUBLE)
                )
                OR CAST("t0"."paid" AS DOUBLE) IN (CAST('Inf' AS DOUBLE), CAST('-Inf' AS DOUBLE))
              ) AS "finite"
            FROM "orders" AS "t0"
          ) AS "t1"
        ) AS "t2"
      ) AS "t3"
      GROUP BY
        1,
        2,
        3
    ) AS "t4"
  ) AS "t5"
  GROUP BY
    1,
    2
)
SELECT
  "t7"."customer" AS "customer_id",
  "t7"."purchases" - 1 AS "frequency",
  CAST("t7"."last" - "t7"."first" AS DOUBLE) / 1.0 AS "recency",
  CAST((
    SELECT
      MAX("t7"."last") AS "Max(last)"
    FROM "t6" AS "t7"
  ) - "t7"."first" AS DOUBLE) / 1.0 AS "T",
  COALESCE(
    (
      "t7"."total" - "t7"."first_value"
    ) / NULLIF(CAST("t7"."purchases" - 1 AS DOUBLE), 0.0),
    0.0
  ) AS "monetary_value",
  "t7"."first_value",
  COALESCE("t7"."log_gaps", 0.0) AS "log_gaps"
FROM "t6" AS "t7"
WHERE
  "t7"."reason" = 0
