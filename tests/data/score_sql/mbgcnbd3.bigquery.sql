CREATE TABLE shop.clv (
  `frequency` FLOAT64,
  `recency_from` FLOAT64,
  `middle` FLOAT64,
  `half` FLOAT64,
  `alpha` FLOAT64,
  `power` FLOAT64,
  `log_odds` FLOAT64,
  `phase` FLOAT64,
  `buys_0` FLOAT64,
  `buys_1` FLOAT64,
  `buys_2` FLOAT64,
  `buys_3` FLOAT64,
  `buys_4` FLOAT64,
  `buys_5` FLOAT64,
  `buys_6` FLOAT64,
  `buys_7` FLOAT64,
  `buys_8` FLOAT64,
  `buys_9` FLOAT64,
  `buys_10` FLOAT64,
  `buys_11` FLOAT64,
  `buys_12` FLOAT64,
  `buys_13` FLOAT64,
  `buys_14` FLOAT64,
  `buys_15` FLOAT64,
  `buys_16` FLOAT64,
  `buys_17` FLOAT64,
  `buys_18` FLOAT64,
  `buys_19` FLOAT64,
  `buys_20` FLOAT64,
  `purchases_0` FLOAT64,
  `purchases_1` FLOAT64,
  `purchases_2` FLOAT64,
  `purchases_3` FLOAT64,
  `purchases_4` FLOAT64,
  `purchases_5` FLOAT64,
  `purchases_6` FLOAT64,
  `purchases_7` FLOAT64,
  `purchases_8` FLOAT64,
  `purchases_9` FLOAT64,
  `purchases_10` FLOAT64,
  `purchases_11` FLOAT64,
  `purchases_12` FLOAT64,
  `purchases_13` FLOAT64,
  `purchases_14` FLOAT64,
  `purchases_15` FLOAT64,
  `purchases_16` FLOAT64,
  `purchases_17` FLOAT64,
  `purchases_18` FLOAT64,
  `discounted_0` FLOAT64,
  `discounted_1` FLOAT64,
  `discounted_2` FLOAT64,
  `discounted_3` FLOAT64,
  `discounted_4` FLOAT64,
  `discounted_5` FLOAT64,
  `discounted_6` FLOAT64,
  `discounted_7` FLOAT64,
  `discounted_8` FLOAT64,
  `discounted_9` FLOAT64,
  `discounted_10` FLOAT64,
  `discounted_11` FLOAT64,
  `discounted_12` FLOAT64,
  `discounted_13` FLOAT64,
  `discounted_14` FLOAT64,
  `discounted_15` FLOAT64,
  `discounted_16` FLOAT64,
  `discounted_17` FLOAT64,
  `discounted_18` FLOAT64,
  `alive` FLOAT64,
  `spend` FLOAT64,
  `spend_slope` FLOAT64
);
WITH customers AS (
  SELECT `customer_id` AS id,
    CAST(`frequency` AS FLOAT64) AS x,
    CAST(`recency` AS FLOAT64) AS t_x,
    CAST(`T` AS FLOAT64) AS age,
    CAST(`monetary_value` AS FLOAT64) AS m_bar
  FROM shop.rfm
),
histories AS (
  SELECT DISTINCT x, t_x, age FROM customers
  WHERE t_x >= 0 AND t_x <= age AND age <= 104.0
    AND ((x = 0 AND t_x = 0) OR (x > 0 AND t_x > 0))
),
powers AS (
  SELECT x, t_x, age,
    COS(1 * angle_age) AS age_1,
    COS(2 * angle_age) AS age_2,
    COS(3 * angle_age) AS age_3,
    COS(4 * angle_age) AS age_4,
    COS(5 * angle_age) AS age_5,
    COS(6 * angle_age) AS age_6,
    COS(7 * angle_age) AS age_7,
    COS(8 * angle_age) AS age_8,
    COS(9 * angle_age) AS age_9,
    COS(10 * angle_age) AS age_10,
    COS(11 * angle_age) AS age_11,
    COS(12 * angle_age) AS age_12,
    COS(13 * angle_age) AS age_13,
    COS(14 * angle_age) AS age_14,
    COS(15 * angle_age) AS age_15,
    COS(16 * angle_age) AS age_16,
    COS(17 * angle_age) AS age_17,
    COS(18 * angle_age) AS age_18,
    COS(19 * angle_age) AS age_19,
    COS(20 * angle_age) AS age_20
  FROM (
    SELECT h.x, t_x, age, ACOS(LEAST(1.0, GREATEST(-1.0, (LN(SHIFT + GREATEST(age, 0.0)) - b.middle) / b.half))) AS angle_age
    FROM histories h JOIN (
      SELECT `frequency` AS x, MAX(`recency_from`) AS recency_from, MAX(`middle`) AS middle, MAX(`half`) AS half FROM shop.clv GROUP BY `frequency`
    ) b ON b.x = h.x AND h.t_x >= b.recency_from
  ) angles
),
parts AS (
  SELECT x, t_x, age,
    (CASE WHEN c.`phase` = 0 THEN 1.0 WHEN c.`phase` = 1 THEN (age - t_x) / (c.`alpha` + age) * (c.`power` + 0) / 1 WHEN c.`phase` = 2 THEN (age - t_x) / (c.`alpha` + age) * (c.`power` + 0) / 1 * (age - t_x) / (c.`alpha` + age) * (c.`power` + 1) / 2 END) / (1.0 + (age - t_x) / (c.`alpha` + age) * (c.`power` + 0) / 1 + (age - t_x) / (c.`alpha` + age) * (c.`power` + 0) / 1 * (age - t_x) / (c.`alpha` + age) * (c.`power` + 1) / 2 + EXP(LEAST(300.0, GREATEST(-300.0, c.`log_odds` + c.`power` * LN((c.`alpha` + age) / (c.`alpha` + t_x)))))) AS weight,
    c.`alive` AS alive,
    (c.`buys_0` + c.`buys_1` * age_1 + c.`buys_2` * age_2 + c.`buys_3` * age_3 + c.`buys_4` * age_4 + c.`buys_5` * age_5 + c.`buys_6` * age_6 + c.`buys_7` * age_7 + c.`buys_8` * age_8 + c.`buys_9` * age_9 + c.`buys_10` * age_10 + c.`buys_11` * age_11 + c.`buys_12` * age_12 + c.`buys_13` * age_13 + c.`buys_14` * age_14 + c.`buys_15` * age_15 + c.`buys_16` * age_16 + c.`buys_17` * age_17 + c.`buys_18` * age_18 + c.`buys_19` * age_19 + c.`buys_20` * age_20) AS buys,
    (c.`purchases_0` + c.`purchases_1` * age_1 + c.`purchases_2` * age_2 + c.`purchases_3` * age_3 + c.`purchases_4` * age_4 + c.`purchases_5` * age_5 + c.`purchases_6` * age_6 + c.`purchases_7` * age_7 + c.`purchases_8` * age_8 + c.`purchases_9` * age_9 + c.`purchases_10` * age_10 + c.`purchases_11` * age_11 + c.`purchases_12` * age_12 + c.`purchases_13` * age_13 + c.`purchases_14` * age_14 + c.`purchases_15` * age_15 + c.`purchases_16` * age_16 + c.`purchases_17` * age_17 + c.`purchases_18` * age_18) AS purchases,
    (c.`discounted_0` + c.`discounted_1` * age_1 + c.`discounted_2` * age_2 + c.`discounted_3` * age_3 + c.`discounted_4` * age_4 + c.`discounted_5` * age_5 + c.`discounted_6` * age_6 + c.`discounted_7` * age_7 + c.`discounted_8` * age_8 + c.`discounted_9` * age_9 + c.`discounted_10` * age_10 + c.`discounted_11` * age_11 + c.`discounted_12` * age_12 + c.`discounted_13` * age_13 + c.`discounted_14` * age_14 + c.`discounted_15` * age_15 + c.`discounted_16` * age_16 + c.`discounted_17` * age_17 + c.`discounted_18` * age_18) AS discounted
  FROM powers JOIN shop.clv c ON c.`frequency` = x
),
means AS (
  SELECT x, t_x, age,
    SUM(weight * alive) AS p_alive,
    SUM(weight * buys) AS p_purchase,
    SUM(weight * purchases) AS expected_purchases,
    SUM(weight * discounted) AS discounted_purchases
  FROM parts GROUP BY x, t_x, age
)
SELECT
  c.id AS `customer_id`,
  c.x AS `frequency`,
  c.t_x AS `recency`,
  c.age AS `T`,
  CASE WHEN m.p_alive > 1.0 THEN 1.0 WHEN m.p_alive < 0.0 THEN 0.0 ELSE m.p_alive END AS `p_alive`,
  CASE WHEN m.p_purchase > 1.0 THEN 1.0 WHEN m.p_purchase < 0.0 THEN 0.0 ELSE m.p_purchase END AS `p_purchase`,
  m.expected_purchases AS `expected_purchases`,
  m.discounted_purchases AS `discounted_purchases`,
  (s.spend + s.spend_slope * (CASE WHEN c.x = 0 THEN 0.0 WHEN c.m_bar >= 0 THEN c.m_bar END)) AS `expected_spend`,
  CAST(1.0 AS FLOAT64) * m.discounted_purchases * (s.spend + s.spend_slope * (CASE WHEN c.x = 0 THEN 0.0 WHEN c.m_bar >= 0 THEN c.m_bar END)) AS `clv`,
  CAST(1.0 AS FLOAT64) AS `margin`,
  CAST(CASE
    WHEN c.x IS NULL OR c.t_x IS NULL OR c.age IS NULL THEN 'a number is missing'
    WHEN c.x > 1 THEN 'more than 1 repeat purchases'
    WHEN c.age > 104.0 THEN 'T above 104'
    WHEN m.x IS NULL THEN 'no customer has such a history'
    WHEN s.spend IS NULL THEN 'expected spend is infinite in some draws'
    WHEN (CASE WHEN c.x = 0 THEN 0.0 WHEN c.m_bar >= 0 THEN c.m_bar END) IS NULL THEN 'an amount is missing or negative'
  END AS STRING) AS `reason`
FROM customers c
LEFT JOIN means m ON m.x = c.x AND m.t_x = c.t_x AND m.age = c.age
LEFT JOIN (SELECT `frequency` AS x, MAX(`spend`) AS spend, MAX(`spend_slope`) AS spend_slope FROM shop.clv GROUP BY `frequency`) s ON s.x = m.x
