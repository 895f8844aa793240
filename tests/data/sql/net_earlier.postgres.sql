WITH "t12" AS (
  SELECT
    "t11"."customer",
    "t11"."reason",
    COUNT(*) AS "purchases",
    MIN("t11"."period") AS "first",
    MAX("t11"."period") AS "last",
    (
      ARRAY_AGG("t11"."total" ORDER BY "t11"."period" ASC) FILTER(WHERE
        "t11"."period" IS NOT NULL)
    )[1] AS "first_value",
    SUM(LN(CAST("t11"."gap" AS DOUBLE PRECISION))) AS "log_gaps",
    SUM("t11"."rows") AS "rows",
    SUM("t11"."total") AS "total",
    SUM("t11"."negative_rows") AS "negative_rows",
    SUM("t11"."negative") AS "negative",
    SUM("t11"."earlier_rows") AS "earlier_rows",
    SUM("t11"."earlier") AS "earlier",
    SUM("t11"."stray_rows") AS "stray_rows",
    SUM("t11"."stray") AS "stray",
    SUM("t11"."beyond_rows") AS "beyond_rows",
    SUM("t11"."beyond") AS "beyond",
    MAX("t11"."seen") AS "seen"
  FROM (
    SELECT
      "t10"."period",
      "t10"."rows",
      "t10"."seen",
      "t10"."stray_rows",
      "t10"."stray",
      "t10"."beyond_rows",
      "t10"."beyond",
      "t10"."customer",
      "t10"."reason",
      "t10"."total",
      "t10"."negative_rows",
      "t10"."negative",
      "t10"."earlier_rows",
      "t10"."earlier",
      "t10"."period" - LAG("t10"."period") OVER (
        PARTITION BY "t10"."customer", "t10"."reason"
        ORDER BY "t10"."period" ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) AS "gap"
    FROM (
      SELECT
        "t9"."period",
        "t9"."rows",
        "t9"."seen",
        "t9"."stray_rows",
        "t9"."stray",
        "t9"."beyond_rows",
        "t9"."beyond",
        CASE
          WHEN (
            "t9"."reason" = 0
          )
          AND (
            (
              "t9"."total" - "t9"."claimed"
            ) <= (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          THEN NULL
          ELSE "t9"."customer"
        END AS "customer",
        CASE
          WHEN (
            "t9"."reason" = 0
          )
          AND (
            (
              "t9"."total" - "t9"."claimed"
            ) <= (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          AND (
            "t9"."uncovered" > (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          AND (
            "t9"."bought" = 0
          )
          THEN -2
          WHEN (
            "t9"."reason" = 0
          )
          AND (
            (
              "t9"."total" - "t9"."claimed"
            ) <= (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          AND (
            "t9"."uncovered" > (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          THEN -3
          WHEN (
            "t9"."reason" = 0
          )
          AND (
            (
              "t9"."total" - "t9"."claimed"
            ) <= (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          AND (
            "t9"."negative_rows" = 0
          )
          AND (
            "t9"."total" = 0.0
          )
          THEN 6
          WHEN (
            "t9"."reason" = 0
          )
          AND (
            (
              "t9"."total" - "t9"."claimed"
            ) <= (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          THEN 11
          ELSE "t9"."reason"
        END AS "reason",
        CASE
          WHEN (
            "t9"."reason" = 0
          )
          AND (
            (
              "t9"."total" - "t9"."claimed"
            ) <= (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          AND (
            "t9"."uncovered" > (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          THEN -(
            "t9"."uncovered"
          )
          WHEN (
            "t9"."reason" = 0
          )
          AND (
            (
              "t9"."total" - "t9"."claimed"
            ) <= (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          THEN 0.0
          WHEN "t9"."reason" = 0
          THEN "t9"."total" - "t9"."claimed"
          ELSE "t9"."total"
        END AS "total",
        CASE
          WHEN (
            (
              "t9"."reason" = 0
            )
            AND (
              (
                "t9"."total" - "t9"."claimed"
              ) <= (
                (
                  (
                    "t9"."total" - (
                      "t9"."negative" * 2
                    )
                  ) * 1e-09
                ) + "t9"."noise"
              )
            )
            AND (
              "t9"."uncovered" > (
                (
                  (
                    "t9"."total" - (
                      "t9"."negative" * 2
                    )
                  ) * 1e-09
                ) + "t9"."noise"
              )
            )
          )
          OR (
            "t9"."reason" = -2
          )
          THEN "t9"."negative_rows"
          WHEN "t9"."total" >= -(
            (
              "t9"."total" - (
                "t9"."negative" * 2
              )
            ) * 1e-09
          )
          THEN "t9"."negative_rows" - "t9"."earlier_rows"
          ELSE 0
        END AS "negative_rows",
        CASE
          WHEN (
            (
              "t9"."negative" - "t9"."earlier"
            ) + (
              "t9"."total" - "t9"."negative"
            )
          ) < 0.0
          THEN -(
            "t9"."total" - "t9"."negative"
          )
          ELSE "t9"."negative" - "t9"."earlier"
        END AS "negative",
        CASE
          WHEN (
            (
              "t9"."reason" = 0
            )
            AND (
              (
                "t9"."total" - "t9"."claimed"
              ) <= (
                (
                  (
                    "t9"."total" - (
                      "t9"."negative" * 2
                    )
                  ) * 1e-09
                ) + "t9"."noise"
              )
            )
            AND (
              "t9"."uncovered" > (
                (
                  (
                    "t9"."total" - (
                      "t9"."negative" * 2
                    )
                  ) * 1e-09
                ) + "t9"."noise"
              )
            )
          )
          OR (
            "t9"."reason" = -2
          )
          THEN 0
          WHEN "t9"."total" >= -(
            (
              "t9"."total" - (
                "t9"."negative" * 2
              )
            ) * 1e-09
          )
          THEN "t9"."earlier_rows"
          ELSE "t9"."negative_rows"
        END AS "earlier_rows",
        (
          "t9"."negative" - CASE
            WHEN (
              (
                "t9"."negative" - "t9"."earlier"
              ) + (
                "t9"."total" - "t9"."negative"
              )
            ) < 0.0
            THEN -(
              "t9"."total" - "t9"."negative"
            )
            ELSE "t9"."negative" - "t9"."earlier"
          END
        ) + CASE
          WHEN (
            "t9"."reason" = 0
          )
          AND (
            (
              "t9"."total" - "t9"."claimed"
            ) <= (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          AND (
            "t9"."uncovered" > (
              (
                (
                  "t9"."total" - (
                    "t9"."negative" * 2
                  )
                ) * 1e-09
              ) + "t9"."noise"
            )
          )
          THEN "t9"."uncovered"
          WHEN "t9"."reason" = -2
          THEN -(
            "t9"."total"
          )
          ELSE 0.0
        END AS "earlier"
      FROM (
        SELECT
          "t8"."customer",
          "t8"."period",
          "t8"."reason",
          "t8"."rows",
          "t8"."total",
          "t8"."negative_rows",
          "t8"."negative",
          "t8"."earlier_rows",
          "t8"."earlier",
          "t8"."seen",
          "t8"."stray_rows",
          "t8"."stray",
          "t8"."beyond_rows",
          "t8"."beyond",
          "t8"."running",
          "t8"."bought",
          "t8"."noise",
          "t8"."onward",
          "t8"."lowest",
          CASE
            WHEN (
              "t8"."running" - "t8"."onward"
            ) > "t8"."noise"
            THEN "t8"."running" - "t8"."onward"
            ELSE 0.0
          END AS "claimed",
          CASE WHEN "t8"."lowest" < 0.0 THEN "t8"."lowest" ELSE 0.0 END - "t8"."running" AS "uncovered"
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
            "t7"."stray_rows",
            "t7"."stray",
            "t7"."beyond_rows",
            "t7"."beyond",
            "t7"."running",
            "t7"."bought",
            "t7"."noise",
            MIN("t7"."running") OVER (
              PARTITION BY "t7"."customer", "t7"."reason"
              ORDER BY "t7"."period" ASC
              ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
            ) AS "onward",
            COALESCE(
              MIN("t7"."running") OVER (
                PARTITION BY "t7"."customer", "t7"."reason"
                ORDER BY "t7"."period" ASC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 preceding
              ),
              0.0
            ) AS "lowest"
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
              "t6"."stray_rows",
              "t6"."stray",
              "t6"."beyond_rows",
              "t6"."beyond",
              SUM("t6"."total") OVER (
                PARTITION BY "t6"."customer", "t6"."reason"
                ORDER BY "t6"."period" ASC
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
              ) AS "running",
              SUM(CAST("t6"."total" > 0.0 AS BIGINT)) OVER (
                PARTITION BY "t6"."customer", "t6"."reason"
                ORDER BY "t6"."period" ASC
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
              ) AS "bought",
              SUM("t6"."total" - (
                "t6"."negative" * 2
              )) OVER (
                PARTITION BY "t6"."customer", "t6"."reason"
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
              ) * 1e-12 AS "noise"
            FROM (
              SELECT
                "t5"."customer",
                "t5"."period",
                "t5"."reason",
                COUNT(*) AS "rows",
                SUM("t5"."amount") AS "total",
                SUM(CAST("t5"."amount" < 0 AS BIGINT)) AS "negative_rows",
                SUM(CASE WHEN "t5"."amount" < 0 THEN "t5"."amount" ELSE 0.0 END) AS "negative",
                SUM(CAST("t5"."moved" AS BIGINT)) AS "earlier_rows",
                SUM(CASE WHEN "t5"."moved" THEN "t5"."amount" ELSE 0.0 END) AS "earlier",
                MAX("t5"."seen") AS "seen",
                SUM(CAST("t5"."stray" AS BIGINT)) AS "stray_rows",
                SUM(CASE WHEN "t5"."stray" THEN "t5"."amount" ELSE 0.0 END) AS "stray",
                SUM(CAST("t5"."beyond" < 0.0 AS BIGINT)) AS "beyond_rows",
                SUM("t5"."beyond") AS "beyond"
              FROM (
                SELECT
                  CASE
                    WHEN COALESCE("t4"."found" < "t4"."period", FALSE)
                    THEN "t4"."found"
                    ELSE "t4"."period"
                  END AS "period",
                  "t4"."reason",
                  CASE WHEN "t4"."found" IS NOT NULL THEN "t4"."beyond" ELSE 0.0 END AS "beyond",
                  "t4"."period" AS "seen",
                  COALESCE("t4"."found" < "t4"."period", FALSE) AS "moved",
                  (
                    "t4"."reason" = 0
                  )
                  AND (
                    "t4"."amount" < 0.0
                  )
                  AND "t4"."has_order"
                  AND (
                    "t4"."found" IS NULL
                  ) AS "stray",
                  CASE WHEN "t4"."reason" = 0 THEN "t4"."customer" ELSE NULL END AS "customer",
                  CASE WHEN "t4"."finite" THEN "t4"."amount" ELSE 0.0 END AS "amount"
                FROM (
                  SELECT
                    "t3"."customer",
                    "t3"."no_customer",
                    "t3"."no_date",
                    "t3"."period",
                    "t3"."amount",
                    "t3"."finite",
                    "t3"."order",
                    "t3"."has_order",
                    "t3"."reason",
                    "t3"."beyond",
                    CASE
                      WHEN (
                        "t3"."reason" = 0
                      ) AND (
                        "t3"."amount" < 0.0
                      ) AND "t3"."has_order"
                      THEN MAX(
                        CASE
                          WHEN "t3"."reason" IN (0, 9) AND (
                            "t3"."amount" > 0.0
                          )
                          THEN "t3"."period"
                          ELSE NULL
                        END
                      ) OVER (
                        PARTITION BY "t3"."customer", "t3"."order"
                        ORDER BY "t3"."period" ASC
                        RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                      )
                      ELSE NULL
                    END AS "found"
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
                        )
                        AND (
                          "t2"."amount" < 0.0
                        )
                        AND (
                          SUM(CASE WHEN "t2"."reason" IN (0, 9) THEN "t2"."amount" ELSE 0.0 END) OVER (
                            PARTITION BY "t2"."customer", "t2"."order"
                            ORDER BY "t2"."period" ASC, "t2"."amount" DESC NULLS LAST
                            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                          ) < -(
                            SUM(ABS(CASE WHEN "t2"."reason" IN (0, 9) THEN "t2"."amount" ELSE 0.0 END)) OVER (
                              PARTITION BY "t2"."customer", "t2"."order"
                              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                            ) * 1e-12
                          )
                        )
                        THEN GREATEST(
                          SUM(CASE WHEN "t2"."reason" IN (0, 9) THEN "t2"."amount" ELSE 0.0 END) OVER (
                            PARTITION BY "t2"."customer", "t2"."order"
                            ORDER BY "t2"."period" ASC, "t2"."amount" DESC NULLS LAST
                            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                          ),
                          "t2"."amount"
                        )
                        ELSE 0.0
                      END AS "beyond"
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
              ) AS "t5"
              GROUP BY
                1,
                2,
                3
            ) AS "t6"
          ) AS "t7"
        ) AS "t8"
      ) AS "t9"
    ) AS "t10"
  ) AS "t11"
  GROUP BY
    1,
    2
)
SELECT
  "t13"."customer" AS "customer_id",
  "t13"."purchases" - 1 AS "frequency",
  CAST("t13"."last" - "t13"."first" AS DOUBLE PRECISION) / 1.0 AS "recency",
  CAST((
    SELECT
      MAX("t13"."seen") AS "Max(seen)"
    FROM "t12" AS "t13"
  ) - "t13"."first" AS DOUBLE PRECISION) / 1.0 AS "T",
  COALESCE(
    CAST((
      "t13"."total" - "t13"."first_value"
    ) AS DOUBLE PRECISION) / NULLIF(CAST("t13"."purchases" - 1 AS DOUBLE PRECISION), 0.0),
    0.0
  ) AS "monetary_value",
  "t13"."first_value",
  COALESCE("t13"."log_gaps", 0.0) AS "log_gaps"
FROM "t12" AS "t13"
WHERE
  "t13"."reason" = 0
