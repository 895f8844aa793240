SELECT
  "t5"."reason",
  SUM("t5"."rows") AS "rows",
  COUNT("t5"."customer") AS "customers",
  SUM("t5"."purchases") AS "periods",
  MAX("t5"."last") AS "last",
  SUM("t5"."total") AS "amount",
  0.0 AS "extra",
  0.0 AS "extra_amount",
  0.0 AS "negative_rows",
  0.0 AS "negative",
  0.0 AS "earlier_rows",
  0.0 AS "earlier",
  0.0 AS "stray_rows",
  0.0 AS "stray",
  0.0 AS "beyond_rows",
  0.0 AS "beyond",
  MAX("t5"."day") AS "day"
FROM (
  SELECT
    "t4"."customer",
    "t4"."reason",
    COUNT(*) AS "purchases",
    MIN("t4"."period") AS "first",
    MAX("t4"."period") AS "last",
    (
      ARRAY_AGG("t4"."total" ORDER BY "t4"."period" ASC) FILTER(WHERE
        "t4"."period" IS NOT NULL)
    )[1] AS "first_value",
    SUM("t4"."rows") AS "rows",
    SUM("t4"."total") AS "total",
    MAX("t4"."day") AS "day"
  FROM (
    SELECT
      "t3"."customer",
      "t3"."period",
      "t3"."reason",
      COUNT(*) AS "rows",
      SUM("t3"."amount") AS "total",
      MAX("t3"."day") AS "day"
    FROM (
      SELECT
        "t2"."period",
        "t2"."day",
        "t2"."reason",
        CASE WHEN "t2"."reason" = 0 THEN "t2"."customer" ELSE NULL END AS "customer",
        CASE WHEN "t2"."finite" THEN "t2"."amount" ELSE 0.0 END AS "amount"
      FROM (
        SELECT
          "t1"."customer",
          "t1"."no_customer",
          "t1"."no_date",
          "t1"."period",
          "t1"."day",
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
            (
              "t0"."moment" IS NULL
            )
            OR LOWER(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment")) IN ('', 'nan', 'na', 'n/a', '#n/a', '<na>', 'nat', 'null', 'none', '\n') AS "no_date",
            (
              (
                (
                  EXTRACT(year FROM CAST(CASE
                    WHEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") ~ '^\d{8}(\.0)?$'
                    THEN SUBSTRING(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") FROM CASE
                      WHEN (
                        0 + 1
                      ) >= 1
                      THEN 0 + 1
                      ELSE 0 + 1 + LENGTH(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"))
                    END FOR 4) || '-' || SUBSTRING(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") FROM CASE
                      WHEN (
                        4 + 1
                      ) >= 1
                      THEN 4 + 1
                      ELSE 4 + 1 + LENGTH(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"))
                    END FOR 2) || '-' || SUBSTRING(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") FROM CASE
                      WHEN (
                        6 + 1
                      ) >= 1
                      THEN 6 + 1
                      ELSE 6 + 1 + LENGTH(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"))
                    END FOR 2)
                    WHEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") ~ '^\d{4}-\d{1,2}-\d{1,2}$'
                    THEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment")
                    WHEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") ~ '^\d{4}-\d{1,2}-\d{1,2}[T ]([01]?\d|2[0-3])(:\d{1,2}){1,2}(\.\d*)?( ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?))?$'
                    THEN REGEXP_REPLACE(
                      TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"),
                      ' ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$',
                      '',
                      'g'
                    )
                    ELSE CAST(NULL AS VARCHAR)
                  END AS TIMESTAMP)) - 1970
                ) * 12
              ) + EXTRACT(month FROM CAST(CASE
                WHEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") ~ '^\d{8}(\.0)?$'
                THEN SUBSTRING(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") FROM CASE
                  WHEN (
                    0 + 1
                  ) >= 1
                  THEN 0 + 1
                  ELSE 0 + 1 + LENGTH(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"))
                END FOR 4) || '-' || SUBSTRING(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") FROM CASE
                  WHEN (
                    4 + 1
                  ) >= 1
                  THEN 4 + 1
                  ELSE 4 + 1 + LENGTH(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"))
                END FOR 2) || '-' || SUBSTRING(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") FROM CASE
                  WHEN (
                    6 + 1
                  ) >= 1
                  THEN 6 + 1
                  ELSE 6 + 1 + LENGTH(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"))
                END FOR 2)
                WHEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") ~ '^\d{4}-\d{1,2}-\d{1,2}$'
                THEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment")
                WHEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") ~ '^\d{4}-\d{1,2}-\d{1,2}[T ]([01]?\d|2[0-3])(:\d{1,2}){1,2}(\.\d*)?( ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?))?$'
                THEN REGEXP_REPLACE(
                  TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"),
                  ' ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$',
                  '',
                  'g'
                )
                ELSE CAST(NULL AS VARCHAR)
              END AS TIMESTAMP))
            ) - 1 AS "period",
            CAST(EXTRACT(epoch FROM CAST(CAST(CAST(CASE
              WHEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") ~ '^\d{8}(\.0)?$'
              THEN SUBSTRING(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") FROM CASE
                WHEN (
                  0 + 1
                ) >= 1
                THEN 0 + 1
                ELSE 0 + 1 + LENGTH(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"))
              END FOR 4) || '-' || SUBSTRING(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") FROM CASE
                WHEN (
                  4 + 1
                ) >= 1
                THEN 4 + 1
                ELSE 4 + 1 + LENGTH(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"))
              END FOR 2) || '-' || SUBSTRING(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") FROM CASE
                WHEN (
                  6 + 1
                ) >= 1
                THEN 6 + 1
                ELSE 6 + 1 + LENGTH(TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"))
              END FOR 2)
              WHEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") ~ '^\d{4}-\d{1,2}-\d{1,2}$'
              THEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment")
              WHEN TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment") ~ '^\d{4}-\d{1,2}-\d{1,2}[T ]([01]?\d|2[0-3])(:\d{1,2}){1,2}(\.\d*)?( ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?))?$'
              THEN REGEXP_REPLACE(
                TRIM(' \t
\r\x0b\x0c' FROM "t0"."moment"),
                ' ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$',
                '',
                'g'
              )
              ELSE CAST(NULL AS VARCHAR)
            END AS TIMESTAMP) AS DATE) AS TIMESTAMP) - CAST(MAKE_DATE(CAST(1970 AS INT), CAST(1 AS INT), CAST(1 AS INT)) AS TIMESTAMP)) / 86400 AS BIGINT) AS "day",
            "t0"."paid" AS "amount",
            NOT (
              (
                "t0"."paid" IS NULL
              )
              OR (
                "t0"."paid" = CAST('NaN' AS DOUBLE PRECISION)
              )
              OR "t0"."paid" IN (CAST('Inf' AS DOUBLE PRECISION), -CAST('Inf' AS DOUBLE PRECISION))
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
  GROUP BY
    1,
    2
) AS "t5"
GROUP BY
  1
