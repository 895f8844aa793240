CREATE TABLE shop.clv (
  "frequency" DOUBLE PRECISION,
  "recency_from" DOUBLE PRECISION,
  "middle" DOUBLE PRECISION,
  "half" DOUBLE PRECISION,
  "alpha" DOUBLE PRECISION,
  "power" DOUBLE PRECISION,
  "log_odds" DOUBLE PRECISION,
  "phase" DOUBLE PRECISION,
  "buys_0" DOUBLE PRECISION,
  "buys_1" DOUBLE PRECISION,
  "buys_2" DOUBLE PRECISION,
  "buys_3" DOUBLE PRECISION,
  "buys_4" DOUBLE PRECISION,
  "buys_5" DOUBLE PRECISION,
  "buys_6" DOUBLE PRECISION,
  "buys_7" DOUBLE PRECISION,
  "buys_8" DOUBLE PRECISION,
  "buys_9" DOUBLE PRECISION,
  "buys_10" DOUBLE PRECISION,
  "buys_11" DOUBLE PRECISION,
  "buys_12" DOUBLE PRECISION,
  "buys_13" DOUBLE PRECISION,
  "buys_14" DOUBLE PRECISION,
  "buys_15" DOUBLE PRECISION,
  "buys_16" DOUBLE PRECISION,
  "buys_17" DOUBLE PRECISION,
  "buys_18" DOUBLE PRECISION,
  "buys_19" DOUBLE PRECISION,
  "buys_20" DOUBLE PRECISION,
  "purchases_0" DOUBLE PRECISION,
  "purchases_1" DOUBLE PRECISION,
  "purchases_2" DOUBLE PRECISION,
  "purchases_3" DOUBLE PRECISION,
  "purchases_4" DOUBLE PRECISION,
  "purchases_5" DOUBLE PRECISION,
  "purchases_6" DOUBLE PRECISION,
  "purchases_7" DOUBLE PRECISION,
  "purchases_8" DOUBLE PRECISION,
  "purchases_9" DOUBLE PRECISION,
  "purchases_10" DOUBLE PRECISION,
  "purchases_11" DOUBLE PRECISION,
  "purchases_12" DOUBLE PRECISION,
  "purchases_13" DOUBLE PRECISION,
  "purchases_14" DOUBLE PRECISION,
  "purchases_15" DOUBLE PRECISION,
  "purchases_16" DOUBLE PRECISION,
  "purchases_17" DOUBLE PRECISION,
  "purchases_18" DOUBLE PRECISION,
  "discounted_0" DOUBLE PRECISION,
  "discounted_1" DOUBLE PRECISION,
  "discounted_2" DOUBLE PRECISION,
  "discounted_3" DOUBLE PRECISION,
  "discounted_4" DOUBLE PRECISION,
  "discounted_5" DOUBLE PRECISION,
  "discounted_6" DOUBLE PRECISION,
  "discounted_7" DOUBLE PRECISION,
  "discounted_8" DOUBLE PRECISION,
  "discounted_9" DOUBLE PRECISION,
  "discounted_10" DOUBLE PRECISION,
  "discounted_11" DOUBLE PRECISION,
  "discounted_12" DOUBLE PRECISION,
  "discounted_13" DOUBLE PRECISION,
  "discounted_14" DOUBLE PRECISION,
  "discounted_15" DOUBLE PRECISION,
  "discounted_16" DOUBLE PRECISION,
  "discounted_17" DOUBLE PRECISION,
  "discounted_18" DOUBLE PRECISION,
  "alive" DOUBLE PRECISION,
  "spend" DOUBLE PRECISION,
  "spend_slope" DOUBLE PRECISION
);
WITH customers AS (
  SELECT "customer_id" AS id,
    CAST("frequency" AS DOUBLE PRECISION) AS x,
    CAST("recency" AS DOUBLE PRECISION) AS t_x,
    CAST("T" AS DOUBLE PRECISION) AS age,
    CAST("monetary_value" AS DOUBLE PRECISION) AS m_bar
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
      SELECT "frequency" AS x, MAX("recency_from") AS recency_from, MAX("middle") AS middle, MAX("half") AS half FROM shop.clv GROUP BY "frequency"
    ) b ON b.x = h.x AND h.t_x >= b.recency_from
  ) angles
),
parts AS (
  SELECT x, t_x, age,
    (CASE WHEN c."phase" = 0 THEN 1.0 WHEN c."phase" = 1 THEN (age - t_x) / (c."alpha" + age) * (c."power" + 0) / 1 WHEN c."phase" = 2 THEN (age - t_x) / (c."alpha" + age) * (c."power" + 0) / 1 * (age - t_x) / (c."alpha" + age) * (c."power" + 1) / 2 END) / (1.0 + (age - t_x) / (c."alpha" + age) * (c."power" + 0) / 1 + (age - t_x) / (c."alpha" + age) * (c."power" + 0) / 1 * (age - t_x) / (c."alpha" + age) * (c."power" + 1) / 2 + EXP(LEAST(300.0, GREATEST(-300.0, c."log_odds" + c."power" * LN((c."alpha" + age) / (c."alpha" + t_x)))))) AS weight,
    c."alive" AS alive,
    (c."buys_0" + c."buys_1" * age_1 + c."buys_2" * age_2 + c."buys_3" * age_3 + c."buys_4" * age_4 + c."buys_5" * age_5 + c."buys_6" * age_6 + c."buys_7" * age_7 + c."buys_8" * age_8 + c."buys_9" * age_9 + c."buys_10" * age_10 + c."buys_11" * age_11 + c."buys_12" * age_12 + c."buys_13" * age_13 + c."buys_14" * age_14 + c."buys_15" * age_15 + c."buys_16" * age_16 + c."buys_17" * age_17 + c."buys_18" * age_18 + c."buys_19" * age_19 + c."buys_20" * age_20) AS buys,
    (c."purchases_0" + c."purchases_1" * age_1 + c."purchases_2" * age_2 + c."purchases_3" * age_3 + c."purchases_4" * age_4 + c."purchases_5" * age_5 + c."purchases_6" * age_6 + c."purchases_7" * age_7 + c."purchases_8" * age_8 + c."purchases_9" * age_9 + c."purchases_10" * age_10 + c."purchases_11" * age_11 + c."purchases_12" * age_12 + c."purchases_13" * age_13 + c."purchases_14" * age_14 + c."purchases_15" * age_15 + c."purchases_16" * age_16 + c."purchases_17" * age_17 + c."purchases_18" * age_18) AS purchases,
    (c."discounted_0" + c."discounted_1" * age_1 + c."discounted_2" * age_2 + c."discounted_3" * age_3 + c."discounted_4" * age_4 + c."discounted_5" * age_5 + c."discounted_6" * age_6 + c."discounted_7" * age_7 + c."discounted_8" * age_8 + c."discounted_9" * age_9 + c."discounted_10" * age_10 + c."discounted_11" * age_11 + c."discounted_12" * age_12 + c."discounted_13" * age_13 + c."discounted_14" * age_14 + c."discounted_15" * age_15 + c."discounted_16" * age_16 + c."discounted_17" * age_17 + c."discounted_18" * age_18) AS discounted
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
  CAST(1.0 AS DOUBLE PRECISION) * m.discounted_purchases * (s.spend + s.spend_slope * (CASE WHEN c.x = 0 THEN 0.0 WHEN c.m_bar >= 0 THEN c.m_bar END)) AS "clv",
  CAST(1.0 AS DOUBLE PRECISION) AS "margin",
  CAST(CASE
    WHEN c.x IS NULL OR c.t_x IS NULL OR c.age IS NULL THEN 'a number is missing'
    WHEN c.x > 1 THEN 'more than 1 repeat purchases'
    WHEN c.age > 104.0 THEN 'T above 104'
    WHEN m.x IS NULL THEN 'no customer has such a history'
    WHEN s.spend IS NULL THEN 'expected spend is infinite in some draws'
    WHEN (CASE WHEN c.x = 0 THEN 0.0 WHEN c.m_bar >= 0 THEN c.m_bar END) IS NULL THEN 'an amount is missing or negative'
  END AS TEXT) AS "reason"
FROM customers c
LEFT JOIN means m ON m.x = c.x AND m.t_x = c.t_x AND m.age = c.age
LEFT JOIN (SELECT "frequency" AS x, MAX("spend") AS spend, MAX("spend_slope") AS spend_slope FROM shop.clv GROUP BY "frequency") s ON s.x = m.x
