WITH "t10" AS (
  SELECT
    "t9"."customer",
    "t9"."reason",
    COUNT(*) AS "purchases",
    MIN("t9"."period") AS "first",
    MAX("t9"."period") AS "last",
    (
      ARRAY_AGG("t9"."total" ORDER BY "t9"."period" ASC) FILTER(WHERE
        "t9"."period" IS NOT NULL)
    )[1] AS "first_value",
    SUM("t9"."rows") AS "rows",
    SUM("t9"."total") AS "total",
    SUM("t9"."negative_rows") AS "negative_rows",
    SUM("t9"."negative") AS "negative",
    SUM("t9"."earlier_rows") AS "earlier_rows",
    SUM("t9"."earlier") AS "earlier",
    MAX("t9"."seen") AS "seen"
  FROM (
    SELECT
      "t8"."period",
      "t8"."rows",
      "t8"."seen",
      CASE
        WHEN (
          "t8"."reason" = 0
        )
        AND (
          (
            "t8"."total" - "t8"."claimed"
          ) <= (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        THEN NULL
        ELSE "t8"."customer"
      END AS "customer",
      CASE
        WHEN (
          "t8"."reason" = 0
        )
        AND (
          (
            "t8"."total" - "t8"."claimed"
          ) <= (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        AND (
          "t8"."uncovered" > (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        AND (
          "t8"."bought" = 0
        )
        THEN -2
        WHEN (
          "t8"."reason" = 0
        )
        AND (
          (
            "t8"."total" - "t8"."claimed"
          ) <= (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        AND (
          "t8"."uncovered" > (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        THEN -3
        WHEN (
          "t8"."reason" = 0
        )
        AND (
          (
            "t8"."total" - "t8"."claimed"
          ) <= (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        AND (
          "t8"."negative_rows" = 0
        )
        AND (
          "t8"."total" = 0.0
        )
        THEN 6
        WHEN (
          "t8"."reason" = 0
        )
        AND (
          (
            "t8"."total" - "t8"."claimed"
          ) <= (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        THEN 11
        ELSE "t8"."reason"
      END AS "reason",
      CASE
        WHEN (
          "t8"."reason" = 0
        )
        AND (
          (
            "t8"."total" - "t8"."claimed"
          ) <= (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        AND (
          "t8"."uncovered" > (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        THEN -(
          "t8"."uncovered"
        )
        WHEN (
          "t8"."reason" = 0
        )
        AND (
          (
            "t8"."total" - "t8"."claimed"
          ) <= (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        THEN 0.0
        WHEN "t8"."reason" = 0
        THEN "t8"."total" - "t8"."claimed"
        ELSE "t8"."total"
      END AS "total",
      CASE
        WHEN (
          (
            "t8"."reason" = 0
          )
          AND (
            (
              "t8"."total" - "t8"."claimed"
            ) <= (
              (
                (
                  "t8"."total" - (
                    "t8"."negative" * 2
                  )
                ) * 1e-09
              ) + "t8"."noise"
            )
          )
          AND (
            "t8"."uncovered" > (
              (
                (
                  "t8"."total" - (
                    "t8"."negative" * 2
                  )
                ) * 1e-09
              ) + "t8"."noise"
            )
          )
        )
        OR (
          "t8"."reason" = -2
        )
        THEN "t8"."negative_rows"
        WHEN "t8"."total" >= -(
          (
            "t8"."total" - (
              "t8"."negative" * 2
            )
          ) * 1e-09
        )
        THEN "t8"."negative_rows" - "t8"."earlier_rows"
        ELSE 0
      END AS "negative_rows",
      CASE
        WHEN (
          (
            "t8"."negative" - "t8"."earlier"
          ) + (
            "t8"."total" - "t8"."negative"
          )
        ) < 0.0
        THEN -(
          "t8"."total" - "t8"."negative"
        )
        ELSE "t8"."negative" - "t8"."earlier"
      END AS "negative",
      CASE
        WHEN (
          (
            "t8"."reason" = 0
          )
          AND (
            (
              "t8"."total" - "t8"."claimed"
            ) <= (
              (
                (
                  "t8"."total" - (
                    "t8"."negative" * 2
                  )
                ) * 1e-09
              ) + "t8"."noise"
            )
          )
          AND (
            "t8"."uncovered" > (
              (
                (
                  "t8"."total" - (
                    "t8"."negative" * 2
                  )
                ) * 1e-09
              ) + "t8"."noise"
            )
          )
        )
        OR (
          "t8"."reason" = -2
        )
        THEN 0
        WHEN "t8"."total" >= -(
          (
            "t8"."total" - (
              "t8"."negative" * 2
            )
          ) * 1e-09
        )
        THEN "t8"."earlier_rows"
        ELSE "t8"."negative_rows"
      END AS "earlier_rows",
      (
        "t8"."negative" - CASE
          WHEN (
            (
              "t8"."negative" - "t8"."earlier"
            ) + (
              "t8"."total" - "t8"."negative"
            )
          ) < 0.0
          THEN -(
            "t8"."total" - "t8"."negative"
          )
          ELSE "t8"."negative" - "t8"."earlier"
        END
      ) + CASE
        WHEN (
          "t8"."reason" = 0
        )
        AND (
          (
            "t8"."total" - "t8"."claimed"
          ) <= (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        AND (
          "t8"."uncovered" > (
            (
              (
                "t8"."total" - (
                  "t8"."negative" * 2
                )
              ) * 1e-09
            ) + "t8"."noise"
          )
        )
        THEN "t8"."uncovered"
        WHEN "t8"."reason" = -2
        THEN -(
          "t8"."total"
        )
        ELSE 0.0
      END AS "earlier"
    FROM (
      SELECT
        "t7"."customer",
        "t7"."period",
        "t7"."reason",
        "t7"."rows",
        "t7"."total",
        "t7"."negative_rows",
        "t7"."negative",
        "t7"."earlier_rows",
        "t7"."earlier",
        "t7"."seen",
        "t7"."running",
        "t7"."bought",
        "t7"."noise",
        "t7"."onward",
        "t7"."lowest",
        CASE
          WHEN (
            "t7"."running" - "t7"."onward"
          ) > "t7"."noise"
          THEN "t7"."running" - "t7"."onward"
          ELSE 0.0
        END AS "claimed",
        CASE WHEN "t7"."lowest" < 0.0 THEN "t7"."lowest" ELSE 0.0 END - "t7"."running" AS "uncovered"
      FROM (
        SELECT
          "t6"."customer",
          "t6"."period",
          "t6"."reason",
          "t6"."rows",
          "t6"."total",
          "t6"."negative_rows",
          "t6"."negative",
          "t6"."earlier_rows",
          "t6"."earlier",
          "t6"."seen",
          "t6"."running",
          "t6"."bought",
          "t6"."noise",
          MIN("t6"."running") OVER (
            PARTITION BY "t6"."customer", "t6"."reason"
            ORDER BY "t6"."period" ASC
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
          ) AS "onward",
          COALESCE(
            MIN("t6"."running") OVER (
              PARTITION BY "t6"."customer", "t6"."reason"
              ORDER BY "t6"."period" ASC
              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 preceding
            ),
            0.0
          ) AS "lowest"
        FROM (
          SELECT
            "t5"."customer",
            "t5"."period",
            "t5"."reason",
            "t5"."rows",
            "t5"."total",
            "t5"."negative_rows",
            "t5"."negative",
            "t5"."earlier_rows",
            "t5"."earlier",
            "t5"."seen",
            SUM("t5"."total") OVER (
              PARTITION BY "t5"."customer", "t5"."reason"
              ORDER BY "t5"."period" ASC
              ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS "running",
            SUM(CAST("t5"."total" > 0.0 AS BIGINT)) OVER (
              PARTITION BY "t5"."customer", "t5"."reason"
              ORDER BY "t5"."period" ASC
              ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS "bought",
            SUM("t5"."total" - (
              "t5"."negative" * 2
            )) OVER (
              PARTITION BY "t5"."customer", "t5"."reason"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) * 1e-12 AS "noise"
          FROM (
            SELECT
              "t4"."customer",
              "t4"."period",
              "t4"."reason",
              COUNT(*) AS "rows",
              SUM("t4"."amount") AS "total",
              SUM(CAST("t4"."amount" < 0 AS BIGINT)) AS "negative_rows",
              SUM(CASE WHEN "t4"."amount" < 0 THEN "t4"."amount" ELSE 0.0 END) AS "negative",
              SUM(CAST("t4"."moved" AS BIGINT)) AS "earlier_rows",
              SUM(CASE WHEN "t4"."moved" THEN "t4"."amount" ELSE 0.0 END) AS "earlier",
              MAX("t4"."seen") AS "seen"
            FROM (
              SELECT
                CASE
                  WHEN COALESCE("t3"."found" < "t3"."period", FALSE)
                  THEN "t3"."found"
                  ELSE "t3"."period"
                END AS "period",
                "t3"."reason",
                "t3"."period" AS "seen",
                COALESCE("t3"."found" < "t3"."period", FALSE) AS "moved",
                CASE WHEN "t3"."reason" = 0 THEN "t3"."customer" ELSE NULL END AS "customer",
                CASE WHEN "t3"."finite" THEN "t3"."amount" ELSE 0.0 END AS "amount"
              FROM (
                SELECT
                  "t2"."customer",
                  "t2"."no_customer",
                  "t2"."no_date",
                  "t2"."period",
                  "t2"."amount",
                  "t2"."finite",
                  "t2"."order",
                  "t2"."has_order",
                  "t2"."reason",
                  CASE
                    WHEN (
                      "t2"."reason" = 0
                    ) AND (
                      "t2"."amount" < 0.0
                    ) AND "t2"."has_order"
                    THEN MAX(
                      CASE
                        WHEN "t2"."reason" IN (0, 9) AND (
                          "t2"."amount" > 0.0
                        )
                        THEN "t2"."period"
                        ELSE NULL
                      END
                    ) OVER (
                      PARTITION BY "t2"."customer", "t2"."order"
                      ORDER BY "t2"."period" ASC
                      RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                    )
                    ELSE NULL
                  END AS "found"
                FROM (
                  SELECT
                    "t1"."customer",
                    "t1"."no_customer",
                    "t1"."no_date",
                    "t1"."period",
                    "t1"."amount",
                    "t1"."finite",
                    "t1"."order",
                    "t1"."has_order",
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
                      CAST(EXTRACT(epoch FROM CAST(CAST("t0"."moment" AS DATE) AS TIMESTAMP) - CAST(MAKE_DATE(CAST(1970 AS INT), CAST(1 AS INT), CAST(1 AS INT)) AS TIMESTAMP)) / 86400 AS BIGINT) AS "period",
                      "t0"."paid" AS "amount",
                      NOT (
                        (
                          "t0"."paid" IS NULL
                        )
                        OR (
                          "t0"."paid" = CAST('NaN' AS DOUBLE PRECISION)
                        )
                        OR "t0"."paid" IN (CAST('Inf' AS DOUBLE PRECISION), -CAST('Inf' AS DOUBLE PRECISION))
                      ) AS "finite",
                      "t0"."basket" AS "order",
                      "t0"."basket" IS NOT NULL AS "has_order"
                    FROM "orders" AS "t0"
                  ) AS "t1"
                ) AS "t2"
              ) AS "t3"
            ) AS "t4"
            GROUP BY
              1,
              2,
              3
          ) AS "t5"
        ) AS "t6"
      ) AS "t7"
    ) AS "t8"
  ) AS "t9"
  GROUP BY
    1,
    2
)
SELECT
  "t11"."customer" AS "customer_id",
  "t11"."purchases" - 1 AS "frequency",
  CAST("t11"."last" - "t11"."first" AS DOUBLE PRECISION) / 1.0 AS "recency",
  CAST((
    SELECT
      MAX("t11"."seen") AS "Max(seen)"
    FROM "t10" AS "t11"
  ) - "t11"."first" AS DOUBLE PRECISION) / 1.0 AS "T",
  COALESCE(
    CAST((
      "t11"."total" - "t11"."first_value"
    ) AS DOUBLE PRECISION) / NULLIF(CAST("t11"."purchases" - 1 AS DOUBLE PRECISION), 0.0),
    0.0
  ) AS "monetary_value",
  "t11"."first_value"
FROM "t10" AS "t11"
WHERE
  "t11"."reason" = 0
