WITH `t6` AS (
  SELECT
    `t5`.`customer`,
    `t5`.`reason`,
    COUNT(*) AS `purchases`,
    MIN(`t5`.`period`) AS `first`,
    MAX(`t5`.`period`) AS `last`,
    MIN_BY(`t5`.`total`, `t5`.`period`) AS `first_value`,
    SUM(LN(CAST(`t5`.`gap` AS FLOAT64))) AS `log_gaps`,
    SUM(`t5`.`rows`) AS `rows`,
    SUM(`t5`.`total`) AS `total`
  FROM (
    SELECT
      `t4`.`customer`,
      `t4`.`period`,
      `t4`.`reason`,
      `t4`.`rows`,
      `t4`.`total`,
      `t4`.`period` - LAG(`t4`.`period`) OVER (PARTITION BY `t4`.`customer`, `t4`.`reason` ORDER BY `t4`.`period` ASC) AS `gap`
    FROM (
      SELECT
        `t3`.`customer`,
        `t3`.`period`,
        `t3`.`reason`,
        COUNT(*) AS `rows`,
        SUM(`t3`.`amount`) AS `total`
      FROM (
        SELECT
          `t2`.`period`,
          `t2`.`reason`,
          IF(`t2`.`reason` = 0, `t2`.`customer`, NULL) AS `customer`,
          IF(`t2`.`finite`, `t2`.`amount`, 0.0) AS `amount`
        FROM (
          SELECT
            `t1`.`customer`,
            `t1`.`no_customer`,
            `t1`.`no_date`,
            `t1`.`period`,
            `t1`.`amount`,
            `t1`.`finite`,
            CASE
              WHEN `t1`.`no_customer`
              THEN 1
              WHEN `t1`.`no_date`
              THEN 2
              WHEN `t1`.`period` IS NULL
              THEN 3
              WHEN NOT (
                `t1`.`finite`
              )
              THEN 4
              WHEN `t1`.`amount` < 0.0
              THEN 8
              ELSE 0
            END AS `reason`
          FROM (
            SELECT
              `t0`.`customer`,
              (
                `t0`.`customer` IS NULL
              ) OR (
                `t0`.`customer` = ''
              ) AS `no_customer`,
              `t0`.`moment` IS NULL AS `no_date`,
              DATE_DIFF(CAST(CAST(`t0`.`moment` AS DATETIME) AS DATE), DATE(1970, 1, 1), DAY) AS `period`,
              CAST(`t0`.`paid` AS FLOAT64) AS `amount`,
              NOT (
                (
                  CAST(`t0`.`paid` AS FLOAT64) IS NULL
                )
                OR IS_NAN(CAST(`t0`.`paid` AS FLOAT64))
                OR IS_INF(CAST(`t0`.`paid` AS FLOAT64))
              ) AS `finite`
            FROM `orders` AS `t0`
          ) AS `t1`
        ) AS `t2`
      ) AS `t3`
      GROUP BY
        1,
        2,
        3
    ) AS `t4`
  ) AS `t5`
  GROUP BY
    1,
    2
)
SELECT
  `t7`.`customer` AS `customer_id`,
  `t7`.`purchases` - 1 AS `frequency`,
  ieee_divide(CAST(`t7`.`last` - `t7`.`first` AS FLOAT64), 1.0) AS `recency`,
  ieee_divide(
    CAST((
      SELECT
        MAX(`t7`.`last`) AS `Max_last`
      FROM `t6` AS `t7`
    ) - `t7`.`first` AS FLOAT64),
    1.0
  ) AS `T`,
  COALESCE(
    ieee_divide(
      `t7`.`total` - `t7`.`first_value`,
      NULLIF(CAST(`t7`.`purchases` - 1 AS FLOAT64), 0.0)
    ),
    0.0
  ) AS `monetary_value`,
  `t7`.`first_value`,
  COALESCE(`t7`.`log_gaps`, 0.0) AS `log_gaps`
FROM `t6` AS `t7`
WHERE
  `t7`.`reason` = 0
