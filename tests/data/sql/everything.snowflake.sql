SELECT
  "t15"."customer" AS "customer_id",
  "t15"."purchases" - 1 AS "frequency",
  CAST("t15"."last" - "t15"."first" AS DOUBLE) / 2.0 AS "recency",
  CAST(2600 - "t15"."first" AS DOUBLE) / 2.0 AS "T",
  COALESCE(
    (
      "t15"."total" - "t15"."first_value"
    ) / NULLIF(CAST("t15"."purchases" - 1 AS DOUBLE), 0.0),
    0.0
  ) AS "monetary_value",
  "t15"."first_value",
  COALESCE("t15"."log_gaps", 0.0) - (
    CAST("t15"."purchases" - 1 AS DOUBLE) * 0.6931471805599453
  ) AS "log_gaps",
  "t15"."segment_0" AS "shop"
FROM (
  SELECT
    "t14"."customer",
    "t14"."reason",
    COUNT(*) AS "purchases",
    MIN("t14"."period") AS "first",
    MAX("t14"."period") AS "last",
    MIN_BY("t14"."total", "t14"."period") AS "first_value",
    SUM(LN(CAST("t14"."gap" AS DOUBLE))) AS "log_gaps",
    SUM("t14"."rows") AS "rows",
    SUM("t14"."total") AS "total",
    SUM("t14"."extra") AS "extra",
    SUM("t14"."extra_amount") AS "extra_amount",
    SUM("t14"."negative_rows") AS "negative_rows",
    SUM("t14"."negative") AS "negative",
    MIN_BY(
      IFF("t14"."segment_0" IS NOT NULL, "t14"."segment_0", NULL),
      IFF("t14"."segment_0" IS NOT NULL, "t14"."period", NULL)
    ) AS "segment_0",
    GREATEST(
      MAX("t14"."varies_0"),
      CAST(COALESCE(MIN("t14"."segment_0") < MAX("t14"."segment_0"), FALSE) AS BIGINT)
    ) AS "varies_0"
  FROM (
    SELECT
      "t13"."customer",
      "t13"."period",
      "t13"."reason",
      "t13"."rows",
      "t13"."total",
      "t13"."extra",
      "t13"."extra_amount",
      "t13"."negative_rows",
      "t13"."negative",
      "t13"."segment_0",
      "t13"."varies_0",
      "t13"."period" - LAG("t13"."period") OVER (PARTITION BY "t13"."customer", "t13"."reason" ORDER BY "t13"."period" ASC) AS "gap"
    FROM (
      SELECT
        IFF(
          (
            "t12"."reason" = 0
          )
          AND (
            "t12"."total" <= (
              (
                "t12"."total" - (
                  "t12"."negative" * 2
                )
              ) * 1e-09
            )
          ),
          NULL,
          "t12"."customer"
        ) AS "customer",
        "t12"."period",
        IFF(
          (
            "t12"."reason" = 0
          )
          AND (
            "t12"."total" <= (
              (
                "t12"."total" - (
                  "t12"."negative" * 2
                )
              ) * 1e-09
            )
          ),
          8,
          "t12"."reason"
        ) AS "reason",
        "t12"."rows",
        "t12"."total",
        "t12"."extra",
        "t12"."extra_amount",
        "t12"."negative_rows",
        "t12"."negative",
        "t12"."segment_0",
        "t12"."varies_0"
      FROM (
        SELECT
          "t11"."customer",
          "t11"."period",
          "t11"."reason",
          SUM("t11"."rows") AS "rows",
          SUM("t11"."total") AS "total",
          SUM("t11"."extra") AS "extra",
          SUM("t11"."extra_amount") AS "extra_amount",
          SUM("t11"."negative_rows") AS "negative_rows",
          SUM("t11"."negative") AS "negative",
          MIN_BY(
            IFF("t11"."segment_0" IS NOT NULL, "t11"."segment_0", NULL),
            IFF("t11"."segment_0" IS NOT NULL, "t11"."stamp", NULL)
          ) AS "segment_0",
          GREATEST(
            MAX("t11"."varies_0"),
            CAST(COALESCE(MIN("t11"."segment_0") < MAX("t11"."segment_0"), FALSE) AS BIGINT)
          ) AS "varies_0"
        FROM (
          SELECT
            "t10"."customer",
            "t10"."period",
            "t10"."reason",
            "t10"."stamp",
            SUM("t10"."keep") AS "rows",
            SUM("t10"."amount") AS "total",
            SUM("t10"."extra") AS "extra",
            SUM("t10"."amount" * "t10"."extra") AS "extra_amount",
            SUM(CAST("t10"."amount" < 0 AS BIGINT)) AS "negative_rows",
            SUM(IFF("t10"."amount" < 0, "t10"."amount", 0.0)) AS "negative",
            MIN("t10"."segment_0") AS "segment_0",
            CAST(COALESCE(MIN("t10"."segment_0") < MAX("t10"."segment_0"), FALSE) AS BIGINT) AS "varies_0"
          FROM (
            SELECT
              "t9"."copies",
              "t9"."period",
              "t9"."stamp",
              "t9"."segment_0",
              "t9"."reason",
              "t9"."amount" * IFF("t9"."reason" IN (0, 8, 9), 1, "t9"."copies") AS "amount",
              "t9"."customer",
              IFF("t9"."reason" IN (0, 8, 9), 1, "t9"."copies") AS "keep",
              "t9"."copies" - IFF("t9"."reason" IN (0, 8, 9), 1, "t9"."copies") AS "extra"
            FROM (
              SELECT
                "t8"."copies",
                "t8"."period",
                "t8"."stamp",
                "t8"."segment_0",
                "t8"."reason",
                "t8"."amount",
                COALESCE("t4"."person", "t8"."customer") AS "customer"
              FROM (
                SELECT
                  "t6"."copies",
                  "t6"."period",
                  "t6"."stamp",
                  "t6"."segment_0",
                  "t6"."reason",
                  IFF("t6"."reason" = 0, "t6"."customer", NULL) AS "customer",
                  IFF("t6"."finite", "t6"."amount", 0.0) AS "amount"
                FROM (
                  SELECT
                    "t5"."copies",
                    "t5"."customer",
                    "t5"."no_customer",
                    "t5"."no_date",
                    "t5"."period",
                    "t5"."amount",
                    "t5"."finite",
                    "t5"."stamp",
                    "t5"."segment_0",
                    CASE
                      WHEN "t5"."no_customer"
                      THEN 1
                      WHEN "t5"."no_date"
                      THEN 2
                      WHEN "t5"."period" IS NULL
                      THEN 3
                      WHEN NOT (
                        "t5"."finite"
                      )
                      THEN 4
                      WHEN "t5"."period" > 2600
                      THEN 5
                      WHEN "t5"."amount" = 0.0
                      THEN 6
                      ELSE 0
                    END AS "reason"
                  FROM (
                    SELECT
                      "t3"."copies",
                      "t3"."customer",
                      (
                        "t3"."customer" IS NULL
                      ) OR (
                        "t3"."customer" = ''
                      ) AS "no_customer",
                      "t3"."moment" IS NULL AS "no_date",
                      CAST(FLOOR(
                        (
                          DATEDIFF(DAY, DATE_FROM_PARTS(1970, 1, 1), CAST("t3"."moment" AS DATE)) + 3 + 7000000
                        ) / (
                          7
                        )
                      ) AS BIGINT) - 999999 AS "period",
                      "t3"."paid" AS "amount",
                      NOT (
                        (
                          "t3"."paid" IS NULL
                        )
                        OR (
                          "t3"."paid" = CAST('NaN' AS DOUBLE)
                        )
                        OR "t3"."paid" IN (CAST('Inf' AS DOUBLE), CAST('-Inf' AS DOUBLE))
                      ) AS "finite",
                      "t3"."moment" AS "stamp",
                      "t3"."shop" AS "segment_0"
                    FROM (
                      SELECT
                        "t1"."customer",
                        "t1"."moment",
                        "t1"."paid",
                        "t1"."shop",
                        "t1"."basket",
                        COUNT(*) AS "copies"
                      FROM "orders" AS "t1"
                      GROUP BY
                        1,
                        2,
                        3,
                        4,
                        5
                    ) AS "t3"
                  ) AS "t5"
                ) AS "t6"
              ) AS "t8"
              LEFT OUTER JOIN (
                SELECT
                  "t0"."id",
                  "t0"."customer" AS "person"
                FROM "persons" AS "t0"
              ) AS "t4"
                ON "t8"."customer" = "t4"."id"
            ) AS "t9"
          ) AS "t10"
          GROUP BY
            1,
            2,
            3,
            4
        ) AS "t11"
        GROUP BY
          1,
          2,
          3
      ) AS "t12"
    ) AS "t13"
  ) AS "t14"
  GROUP BY
    1,
    2
) AS "t15"
WHERE
  "t15"."reason" = 0
