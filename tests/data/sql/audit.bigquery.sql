SELECT
  `t5`.`reason`,
  SUM(`t5`.`rows`) AS `rows`,
  COUNT(`t5`.`customer`) AS `customers`,
  SUM(`t5`.`purchases`) AS `periods`,
  MAX(`t5`.`last`) AS `last`,
  SUM(`t5`.`total`) AS `amount`,
  0.0 AS `extra`,
  0.0 AS `extra_amount`,
  0.0 AS `negative_rows`,
  0.0 AS `negative`,
  0.0 AS `earlier_rows`,
  0.0 AS `earlier`,
  0.0 AS `stray_rows`,
  0.0 AS `stray`,
  0.0 AS `beyond_rows`,
  0.0 AS `beyond`,
  MAX(`t5`.`day`) AS `day`
FROM (
  SELECT
    `t4`.`customer`,
    `t4`.`reason`,
    COUNT(*) AS `purchases`,
    MIN(`t4`.`period`) AS `first`,
    MAX(`t4`.`period`) AS `last`,
    MIN_BY(`t4`.`total`, `t4`.`period`) AS `first_value`,
    SUM(`t4`.`rows`) AS `rows`,
    SUM(`t4`.`total`) AS `total`,
    MAX(`t4`.`day`) AS `day`
  FROM (
    SELECT
      `t3`.`customer`,
      `t3`.`period`,
      `t3`.`reason`,
      COUNT(*) AS `rows`,
      SUM(`t3`.`amount`) AS `total`,
      MAX(`t3`.`day`) AS `day`
    FROM (
      SELECT
        `t2`.`period`,
        `t2`.`day`,
        `t2`.`reason`,
        IF(`t2`.`reason` = 0, `t2`.`customer`, NULL) AS `customer`,
        IF(`t2`.`finite`, `t2`.`amount`, 0.0) AS `amount`
      FROM (
        SELECT
          `t1`.`customer`,
          `t1`.`no_customer`,
          `t1`.`no_date`,
          `t1`.`period`,
          `t1`.`day`,
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
            (
              `t0`.`moment` IS NULL
            )
            OR LOWER(TRIM(`t0`.`moment`, ' \t\n\r\v\f')) IN ('', 'nan', 'na', 'n/a', '#n/a', '<na>', 'nat', 'null', 'none', '\\n') AS `no_date`,
            (
              (
                (
                  EXTRACT(year FROM SAFE_CAST(CASE
                    WHEN REGEXP_CONTAINS(TRIM(`t0`.`moment`, ' \t\n\r\v\f'), '^\\d{8}(\\.0)?$')
                    THEN CONCAT(
                      CONCAT(
                        CONCAT(
                          CONCAT(
                            SUBSTRING(
                              TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                              IF((
                                0 + 1
                              ) >= 1, 0 + 1, 0 + 1 + LENGTH(TRIM(`t0`.`moment`, ' \t\n\r\v\f'))),
                              4
                            ),
                            '-'
                          ),
                          SUBSTRING(
                            TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                            IF((
                              4 + 1
                            ) >= 1, 4 + 1, 4 + 1 + LENGTH(TRIM(`t0`.`moment`, ' \t\n\r\v\f'))),
                            2
                          )
                        ),
                        '-'
                      ),
                      SUBSTRING(
                        TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                        IF((
                          6 + 1
                        ) >= 1, 6 + 1, 6 + 1 + LENGTH(TRIM(`t0`.`moment`, ' \t\n\r\v\f'))),
                        2
                      )
                    )
                    WHEN REGEXP_CONTAINS(TRIM(`t0`.`moment`, ' \t\n\r\v\f'), '^\\d{4}-\\d{1,2}-\\d{1,2}$')
                    THEN TRIM(`t0`.`moment`, ' \t\n\r\v\f')
                    WHEN REGEXP_CONTAINS(
                      TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                      '^\\d{4}-\\d{1,2}-\\d{1,2}[T ]([01]?\\d|2[0-3])(:\\d{1,2}){1,2}(\\.\\d*)?( ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?))?$'
                    )
                    THEN REGEXP_REPLACE(TRIM(`t0`.`moment`, ' \t\n\r\v\f'), ' ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?)$', '')
                    ELSE CAST(NULL AS STRING)
                  END AS DATETIME)) - 1970
                ) * 12
              ) + EXTRACT(month FROM SAFE_CAST(CASE
                WHEN REGEXP_CONTAINS(TRIM(`t0`.`moment`, ' \t\n\r\v\f'), '^\\d{8}(\\.0)?$')
                THEN CONCAT(
                  CONCAT(
                    CONCAT(
                      CONCAT(
                        SUBSTRING(
                          TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                          IF((
                            0 + 1
                          ) >= 1, 0 + 1, 0 + 1 + LENGTH(TRIM(`t0`.`moment`, ' \t\n\r\v\f'))),
                          4
                        ),
                        '-'
                      ),
                      SUBSTRING(
                        TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                        IF((
                          4 + 1
                        ) >= 1, 4 + 1, 4 + 1 + LENGTH(TRIM(`t0`.`moment`, ' \t\n\r\v\f'))),
                        2
                      )
                    ),
                    '-'
                  ),
                  SUBSTRING(
                    TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                    IF((
                      6 + 1
                    ) >= 1, 6 + 1, 6 + 1 + LENGTH(TRIM(`t0`.`moment`, ' \t\n\r\v\f'))),
                    2
                  )
                )
                WHEN REGEXP_CONTAINS(TRIM(`t0`.`moment`, ' \t\n\r\v\f'), '^\\d{4}-\\d{1,2}-\\d{1,2}$')
                THEN TRIM(`t0`.`moment`, ' \t\n\r\v\f')
                WHEN REGEXP_CONTAINS(
                  TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                  '^\\d{4}-\\d{1,2}-\\d{1,2}[T ]([01]?\\d|2[0-3])(:\\d{1,2}){1,2}(\\.\\d*)?( ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?))?$'
                )
                THEN REGEXP_REPLACE(TRIM(`t0`.`moment`, ' \t\n\r\v\f'), ' ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?)$', '')
                ELSE CAST(NULL AS STRING)
              END AS DATETIME))
            ) - 1 AS `period`,
            DATE_DIFF(
              CAST(SAFE_CAST(CASE
                WHEN REGEXP_CONTAINS(TRIM(`t0`.`moment`, ' \t\n\r\v\f'), '^\\d{8}(\\.0)?$')
                THEN CONCAT(
                  CONCAT(
                    CONCAT(
                      CONCAT(
                        SUBSTRING(
                          TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                          IF((
                            0 + 1
                          ) >= 1, 0 + 1, 0 + 1 + LENGTH(TRIM(`t0`.`moment`, ' \t\n\r\v\f'))),
                          4
                        ),
                        '-'
                      ),
                      SUBSTRING(
                        TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                        IF((
                          4 + 1
                        ) >= 1, 4 + 1, 4 + 1 + LENGTH(TRIM(`t0`.`moment`, ' \t\n\r\v\f'))),
                        2
                      )
                    ),
                    '-'
                  ),
                  SUBSTRING(
                    TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                    IF((
                      6 + 1
                    ) >= 1, 6 + 1, 6 + 1 + LENGTH(TRIM(`t0`.`moment`, ' \t\n\r\v\f'))),
                    2
                  )
                )
                WHEN REGEXP_CONTAINS(TRIM(`t0`.`moment`, ' \t\n\r\v\f'), '^\\d{4}-\\d{1,2}-\\d{1,2}$')
                THEN TRIM(`t0`.`moment`, ' \t\n\r\v\f')
                WHEN REGEXP_CONTAINS(
                  TRIM(`t0`.`moment`, ' \t\n\r\v\f'),
                  '^\\d{4}-\\d{1,2}-\\d{1,2}[T ]([01]?\\d|2[0-3])(:\\d{1,2}){1,2}(\\.\\d*)?( ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?))?$'
                )
                THEN REGEXP_REPLACE(TRIM(`t0`.`moment`, ' \t\n\r\v\f'), ' ?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?)$', '')
                ELSE CAST(NULL AS STRING)
              END AS DATETIME) AS DATE),
              DATE(1970, 1, 1),
              DAY
            ) AS `day`,
            `t0`.`paid` AS `amount`,
            NOT (
              (
                `t0`.`paid` IS NULL
              ) OR IS_NAN(`t0`.`paid`) OR IS_INF(`t0`.`paid`)
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
  GROUP BY
    1,
    2
) AS `t5`
GROUP BY
  1
