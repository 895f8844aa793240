WITH "t6" AS (
  SELECT
    "t5"."customer",
    "t5"."reason",
    COUNT(*) AS "purchases",
    MIN("t5"."period") AS "first",
    MAX("t5"."period") AS "last",
    (
      ARRAY_AGG("t5"."total" ORDER BY "t5"."period" ASC) FILTER(WHERE
        "t5"."period" IS NOT NULL)
    )[1] AS "first_value",
    SUM(LN(CAST("t5"."gap" AS DOUBLE PRECISION))) AS "log_gaps",
    SUM("t5"."rows") AS "rows",
    SUM("t5"."total") AS "total"
  FROM (
    SELECT
      "t4"."customer",
      "t4"."period",
      "t4"."reason",
      "t4"."rows",
      "t4"."total",
      "t4"."period" - LAG("t4"."period") OVER (
        PARTITION BY "t4"."customer", "t4"."reason"
        ORDER BY "t4"."period" ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) AS "gap"
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
          CASE WHEN "t2"."reason" = 0 THEN "t2"."customer" ELSE NULL END AS "customer",
          CASE WHEN "t2"."finite" THEN "t2"."amount" ELSE 0.0 END AS "amount"
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
              CAST(EXTRACT(epoch FROM CAST(CAST(CAST("t0"."moment" AS TIMESTAMP) AS DATE) AS TIMESTAMP) - CAST(MAKE_DATE(CAST(1970 AS INT), CAST(1 AS INT), CAST(1 AS INT)) AS TIMESTAMP)) / 86400 AS BIGINT) AS "period",
              CAST("t0"."paid" AS DOUBLE PRECISION) AS "amount",
              NOT (
                (
                  CAST("t0"."paid" AS DOUBLE PRECISION) IS NULL
                )
                OR (
                  CAST("t0"."paid" AS DOUBLE PRECISION) = CAST('NaN' AS DOUBLE PRECISION)
                )
                OR CAST("t0"."paid" AS DOUBLE PRECISION) IN (CAST('Inf' AS DOUBLE PRECISION), -CAST('Inf' AS DOUBLE PRECISION))
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
  CAST("t7"."last" - "t7"."first" AS DOUBLE PRECISION) / 1.0 AS "recency",
  CAST((
    SELECT
      MAX("t7"."last") AS "Max(last)"
    FROM "t6" AS "t7"
  ) - "t7"."first" AS DOUBLE PRECISION) / 1.0 AS "T",
  COALESCE(
    CAST((
      "t7"."total" - "t7"."first_value"
    ) AS DOUBLE PRECISION) / NULLIF(CAST("t7"."purchases" - 1 AS DOUBLE PRECISION), 0.0),
    0.0
  ) AS "monetary_value",
  "t7"."first_value",
  COALESCE("t7"."log_gaps", 0.0) AS "log_gaps"
FROM "t6" AS "t7"
WHERE
  "t7"."reason" = 0
