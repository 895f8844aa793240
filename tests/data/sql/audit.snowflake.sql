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
    MIN_BY("t4"."total", "t4"."period") AS "first_value",
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
        IFF("t2"."reason" = 0, "t2"."customer", NULL) AS "customer",
        IFF("t2"."finite", "t2"."amount", 0.0) AS "amount"
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
            OR LOWER(TRIM("t0"."moment", ' \t\n\r\x0b\f')) IN ('', 'nan', 'na', 'n/a', '#n/a', '<na>', 'nat', 'null', 'none', '\\n') AS "no_date",
            (
              (
                (
                  DATE_PART(
                    year,
                    TRY_CAST(CASE
                      WHEN REGEXP_LIKE(TRIM("t0"."moment", ' \t\n\r\x0b\f'), CONCAT('.*', '^\\d{8}(\\.0)?$', '.*'), 'cs')
                      THEN CONCAT(
                        CONCAT(
                          CONCAT(
                            CONCAT(
                              SUBSTRING(
                                TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                                IFF((
                                  0 + 1
                                ) >= 1, 0 + 1, 0 + 1 + LENGTH(TRIM("t0"."moment", ' \t\n\r\x0b\f'))),
                                4
                              ),
                              '-'
                            ),
                            SUBSTRING(
                              TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                              IFF((
                                4 + 1
                              ) >= 1, 4 + 1, 4 + 1 + LENGTH(TRIM("t0"."moment", ' \t\n\r\x0b\f'))),
                              2
                            )
                          ),
                          '-'
                        ),
                        SUBSTRING(
                          TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                          IFF((
                            6 + 1
                          ) >= 1, 6 + 1, 6 + 1 + LENGTH(TRIM("t0"."moment", ' \t\n\r\x0b\f'))),
                          2
                        )
                      )
                      WHEN REGEXP_LIKE(
                        TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                        CONCAT('.*', '^\\d{4}-\\d{1,2}-\\d{1,2}$', '.*'),
                        'cs'
                      )
                      THEN TRIM("t0"."moment", ' \t\n\r\x0b\f')
                      WHEN REGEXP_LIKE(
                        TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                        CONCAT(
                          '.*',
                          '^\\d{4}-\\d{1,2}-\\d{1,2}[T ]([01]?\\d|2[0-3])(:\\d{1,2}){1,2}(\\.\\d*)?( ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?))?$',
                          '.*'
                        ),
                        'cs'
                      )
                      THEN REGEXP_REPLACE(TRIM("t0"."moment", ' \t\n\r\x0b\f'), ' ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?)$', '')
                      ELSE CAST(NULL AS VARCHAR)
                    END AS TIMESTAMP)
                  ) - 1970
                ) * 12
              ) + DATE_PART(
                month,
                TRY_CAST(CASE
                  WHEN REGEXP_LIKE(TRIM("t0"."moment", ' \t\n\r\x0b\f'), CONCAT('.*', '^\\d{8}(\\.0)?$', '.*'), 'cs')
                  THEN CONCAT(
                    CONCAT(
                      CONCAT(
                        CONCAT(
                          SUBSTRING(
                            TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                            IFF((
                              0 + 1
                            ) >= 1, 0 + 1, 0 + 1 + LENGTH(TRIM("t0"."moment", ' \t\n\r\x0b\f'))),
                            4
                          ),
                          '-'
                        ),
                        SUBSTRING(
                          TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                          IFF((
                            4 + 1
                          ) >= 1, 4 + 1, 4 + 1 + LENGTH(TRIM("t0"."moment", ' \t\n\r\x0b\f'))),
                          2
                        )
                      ),
                      '-'
                    ),
                    SUBSTRING(
                      TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                      IFF((
                        6 + 1
                      ) >= 1, 6 + 1, 6 + 1 + LENGTH(TRIM("t0"."moment", ' \t\n\r\x0b\f'))),
                      2
                    )
                  )
                  WHEN REGEXP_LIKE(
                    TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                    CONCAT('.*', '^\\d{4}-\\d{1,2}-\\d{1,2}$', '.*'),
                    'cs'
                  )
                  THEN TRIM("t0"."moment", ' \t\n\r\x0b\f')
                  WHEN REGEXP_LIKE(
                    TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                    CONCAT(
                      '.*',
                      '^\\d{4}-\\d{1,2}-\\d{1,2}[T ]([01]?\\d|2[0-3])(:\\d{1,2}){1,2}(\\.\\d*)?( ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?))?$',
                      '.*'
                    ),
                    'cs'
                  )
                  THEN REGEXP_REPLACE(TRIM("t0"."moment", ' \t\n\r\x0b\f'), ' ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?)$', '')
                  ELSE CAST(NULL AS VARCHAR)
                END AS TIMESTAMP)
              )
            ) - 1 AS "period",
            DATEDIFF(
              DAY,
              DATE_FROM_PARTS(1970, 1, 1),
              CAST(TRY_CAST(CASE
                WHEN REGEXP_LIKE(TRIM("t0"."moment", ' \t\n\r\x0b\f'), CONCAT('.*', '^\\d{8}(\\.0)?$', '.*'), 'cs')
                THEN CONCAT(
                  CONCAT(
                    CONCAT(
                      CONCAT(
                        SUBSTRING(
                          TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                          IFF((
                            0 + 1
                          ) >= 1, 0 + 1, 0 + 1 + LENGTH(TRIM("t0"."moment", ' \t\n\r\x0b\f'))),
                          4
                        ),
                        '-'
                      ),
                      SUBSTRING(
                        TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                        IFF((
                          4 + 1
                        ) >= 1, 4 + 1, 4 + 1 + LENGTH(TRIM("t0"."moment", ' \t\n\r\x0b\f'))),
                        2
                      )
                    ),
                    '-'
                  ),
                  SUBSTRING(
                    TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                    IFF((
                      6 + 1
                    ) >= 1, 6 + 1, 6 + 1 + LENGTH(TRIM("t0"."moment", ' \t\n\r\x0b\f'))),
                    2
                  )
                )
                WHEN REGEXP_LIKE(
                  TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                  CONCAT('.*', '^\\d{4}-\\d{1,2}-\\d{1,2}$', '.*'),
                  'cs'
                )
                THEN TRIM("t0"."moment", ' \t\n\r\x0b\f')
                WHEN REGEXP_LIKE(
                  TRIM("t0"."moment", ' \t\n\r\x0b\f'),
                  CONCAT(
                    '.*',
                    '^\\d{4}-\\d{1,2}-\\d{1,2}[T ]([01]?\\d|2[0-3])(:\\d{1,2}){1,2}(\\.\\d*)?( ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?))?$',
                    '.*'
                  ),
                  'cs'
                )
                THEN REGEXP_REPLACE(TRIM("t0"."moment", ' \t\n\r\x0b\f'), ' ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?)$', '')
                ELSE CAST(NULL AS VARCHAR)
              END AS TIMESTAMP) AS DATE)
            ) AS "day",
            "t0"."paid" AS "amount",
            NOT (
              (
                "t0"."paid" IS NULL
              )
              OR (
                "t0"."paid" = CAST('NaN' AS DOUBLE)
              )
              OR "t0"."paid" IN (CAST('Inf' AS DOUBLE), CAST('-Inf' AS DOUBLE))
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
