CREATE TABLE shop.clv (
  "frequency" DOUBLE,
  "recency_from" DOUBLE,
  "middle" DOUBLE,
  "half" DOUBLE,
  "alpha" DOUBLE,
  "power" DOUBLE,
  "beta" DOUBLE,
  "s" DOUBLE,
  "log_leaves_0" DOUBLE,
  "log_leaves_1" DOUBLE,
  "log_leaves_2" DOUBLE,
  "log_leaves_3" DOUBLE,
  "log_leaves_4" DOUBLE,
  "log_leaves_5" DOUBLE,
  "log_leaves_6" DOUBLE,
  "log_leaves_7" DOUBLE,
  "log_leaves_8" DOUBLE,
  "log_leaves_9" DOUBLE,
  "log_leaves_10" DOUBLE,
  "log_leaves_11" DOUBLE,
  "log_leaves_12" DOUBLE,
  "log_leaves_13" DOUBLE,
  "log_buys_0" DOUBLE,
  "log_buys_1" DOUBLE,
  "log_buys_2" DOUBLE,
  "log_buys_3" DOUBLE,
  "log_buys_4" DOUBLE,
  "log_buys_5" DOUBLE,
  "log_buys_6" DOUBLE,
  "log_buys_7" DOUBLE,
  "log_buys_8" DOUBLE,
  "log_buys_9" DOUBLE,
  "log_buys_10" DOUBLE,
  "log_buys_11" DOUBLE,
  "log_buys_12" DOUBLE,
  "log_buys_13" DOUBLE,
  "log_buys_14" DOUBLE,
  "buys_0" DOUBLE,
  "buys_1" DOUBLE,
  "buys_2" DOUBLE,
  "buys_3" DOUBLE,
  "buys_4" DOUBLE,
  "buys_5" DOUBLE,
  "buys_6" DOUBLE,
  "buys_7" DOUBLE,
  "buys_8" DOUBLE,
  "buys_9" DOUBLE,
  "buys_10" DOUBLE,
  "buys_11" DOUBLE,
  "buys_12" DOUBLE,
  "buys_13" DOUBLE,
  "buys_14" DOUBLE,
  "buys_15" DOUBLE,
  "buys_16" DOUBLE,
  "purchases_0" DOUBLE,
  "purchases_1" DOUBLE,
  "purchases_2" DOUBLE,
  "purchases_3" DOUBLE,
  "purchases_4" DOUBLE,
  "purchases_5" DOUBLE,
  "purchases_6" DOUBLE,
  "purchases_7" DOUBLE,
  "purchases_8" DOUBLE,
  "purchases_9" DOUBLE,
  "purchases_10" DOUBLE,
  "purchases_11" DOUBLE,
  "purchases_12" DOUBLE,
  "purchases_13" DOUBLE,
  "purchases_14" DOUBLE,
  "discounted_0" DOUBLE,
  "discounted_1" DOUBLE,
  "discounted_2" DOUBLE,
  "discounted_3" DOUBLE,
  "discounted_4" DOUBLE,
  "discounted_5" DOUBLE,
  "discounted_6" DOUBLE,
  "discounted_7" DOUBLE,
  "discounted_8" DOUBLE,
  "discounted_9" DOUBLE,
  "discounted_10" DOUBLE,
  "discounted_11" DOUBLE,
  "discounted_12" DOUBLE,
  "discounted_13" DOUBLE,
  "discounted_14" DOUBLE,
  "alive" DOUBLE,
  "spend" DOUBLE,
  "spend_slope" DOUBLE
);
WITH customers AS (
  SELECT "customer_id" AS id,
    CAST("frequency" AS DOUBLE) AS x,
    CAST("recency" AS DOUBLE) AS t_x,
    CAST("T" AS DOUBLE) AS age,
    CAST("monetary_value" AS DOUBLE) AS m_bar
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
    COS(1 * angle_t_x) AS t_x_1,
    COS(2 * angle_t_x) AS t_x_2,
    COS(3 * angle_t_x) AS t_x_3,
    COS(4 * angle_t_x) AS t_x_4,
    COS(5 * angle_t_x) AS t_x_5,
    COS(6 * angle_t_x) AS t_x_6,
    COS(7 * angle_t_x) AS t_x_7,
    COS(8 * angle_t_x) AS t_x_8,
    COS(9 * angle_t_x) AS t_x_9,
    COS(10 * angle_t_x) AS t_x_10,
    COS(11 * angle_t_x) AS t_x_11,
    COS(12 * angle_t_x) AS t_x_12,
    COS(13 * angle_t_x) AS t_x_13
  FROM (
    SELECT h.x, t_x, age, ACOS(LEAST(1.0, GREATEST(-1.0, (LN(SHIFT + GREATEST(age, 0.0)) - b.middle) / b.half))) AS angle_age, ACOS(LEAST(1.0, GREATEST(-1.0, (LN(SHIFT + GREATEST(t_x, 0.0)) - b.middle) / b.half))) AS angle_t_x
    FROM histories h JOIN (
      SELECT "frequency" AS x, MAX("recency_from") AS recency_from, MAX("middle") AS middle, MAX("half") AS half FROM shop.clv GROUP BY "frequency"
    ) b ON b.x = h.x AND h.t_x >= b.recency_from
  ) angles
),
parts AS (
  SELECT x, t_x, age,
    1.0 / (EXP((c."log_buys_0" + c."log_buys_1" * age_1 + c."log_buys_2" * age_2 + c."log_buys_3" * age_3 + c."log_buys_4" * age_4 + c."log_buys_5" * age_5 + c."log_buys_6" * age_6 + c."log_buys_7" * age_7 + c."log_buys_8" * age_8 + c."log_buys_9" * age_9 + c."log_buys_10" * age_10 + c."log_buys_11" * age_11 + c."log_buys_12" * age_12 + c."log_buys_13" * age_13 + c."log_buys_14" * age_14))
      + EXP(LEAST(300.0, GREATEST(-300.0, c."power" * LN((c."alpha" + age) / (c."alpha" + t_x)) + c."s" * LN((c."beta" + age) / (c."beta" + t_x))
      + (c."log_leaves_0" + c."log_leaves_1" * t_x_1 + c."log_leaves_2" * t_x_2 + c."log_leaves_3" * t_x_3 + c."log_leaves_4" * t_x_4 + c."log_leaves_5" * t_x_5 + c."log_leaves_6" * t_x_6 + c."log_leaves_7" * t_x_7 + c."log_leaves_8" * t_x_8 + c."log_leaves_9" * t_x_9 + c."log_leaves_10" * t_x_10 + c."log_leaves_11" * t_x_11 + c."log_leaves_12" * t_x_12 + c."log_leaves_13" * t_x_13))))) AS weight,
    c."alive" AS alive,
    (c."buys_0" + c."buys_1" * age_1 + c."buys_2" * age_2 + c."buys_3" * age_3 + c."buys_4" * age_4 + c."buys_5" * age_5 + c."buys_6" * age_6 + c."buys_7" * age_7 + c."buys_8" * age_8 + c."buys_9" * age_9 + c."buys_10" * age_10 + c."buys_11" * age_11 + c."buys_12" * age_12 + c."buys_13" * age_13 + c."buys_14" * age_14 + c."buys_15" * age_15 + c."buys_16" * age_16) AS buys,
    (c."purchases_0" + c."purchases_1" * age_1 + c."purchases_2" * age_2 + c."purchases_3" * age_3 + c."purchases_4" * age_4 + c."purchases_5" * age_5 + c."purchases_6" * age_6 + c."purchases_7" * age_7 + c."purchases_8" * age_8 + c."purchases_9" * age_9 + c."purchases_10" * age_10 + c."purchases_11" * age_11 + c."purchases_12" * age_12 + c."purchases_13" * age_13 + c."purchases_14" * age_14) AS purchases,
    (c."discounted_0" + c."discounted_1" * age_1 + c."discounted_2" * age_2 + c."discounted_3" * age_3 + c."discounted_4" * age_4 + c."discounted_5" * age_5 + c."discounted_6" * age_6 + c."discounted_7" * age_7 + c."discounted_8" * age_8 + c."discounted_9" * age_9 + c."discounted_10" * age_10 + c."discounted_11" * age_11 + c."discounted_12" * age_12 + c."discounted_13" * age_13 + c."discounted_14" * age_14) AS discounted
  FROM powers JOIN shop.clv c ON c."frequency" = x
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
  c.id AS "customer_id",
  c.x AS "frequency",
  c.t_x AS "recency",
  c.age AS "T",
  CASE WHEN m.p_alive > 1.0 THEN 1.0 WHEN m.p_alive < 0.0 THEN 0.0 ELSE m.p_alive END AS "p_alive",
  CASE WHEN m.p_purchase > 1.0 THEN 1.0 WHEN m.p_purchase < 0.0 THEN 0.0 ELSE m.p_purchase END AS "p_purchase",
  m.expected_purchases AS "expected_purchases",
  m.discounted_purchases AS "discounted_purchases",
  (s.spend + s.spend_slope * (CASE WHEN c.x = 0 THEN 0.0 WHEN c.m_bar >= 0 THEN c.m_bar END)) AS "expected_spend",
  CAST(1.0 AS DOUBLE) * m.discounted_purchases * (s.spend + s.spend_slope * (CASE WHEN c.x = 0 THEN 0.0 WHEN c.m_bar >= 0 THEN c.m_bar END)) AS "clv",
  CAST(1.0 AS DOUBLE) AS "margin",
  CAST(CASE
    WHEN c.x IS NULL OR c.t_x IS NULL OR c.age IS NULL THEN 'a number is missing'
    WHEN c.x > 1 THEN 'more than 1 repeat purchases'
    WHEN c.age > 104.0 THEN 'T above 104'
    WHEN m.x IS NULL THEN 'no customer has such a history'
    WHEN s.spend IS NULL THEN 'expected spend is infinite in some draws'
    WHEN (CASE WHEN c.x = 0 THEN 0.0 WHEN c.m_bar >= 0 THEN c.m_bar END) IS NULL THEN 'an amount is missing or negative'
  END AS VARCHAR) AS "reason"
FROM customers c
LEFT JOIN means m ON m.x = c.x AND m.t_x = c.t_x AND m.age = c.age
LEFT JOIN (SELECT "frequency" AS x, MAX("spend") AS spend, MAX("spend_slope") AS spend_slope FROM shop.clv GROUP BY "frequency") s ON s.x = m.x
