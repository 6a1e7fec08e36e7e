-- Queries over the table facts. Each begins with a line "-- name: …", and means the same in every system that is
-- measured. The first two columns of the first row, and the number of rows, must agree.

-- name: count
SELECT count(*) FROM facts

-- name: sums
SELECT sum(quantity), max(price), min(score), count(note) FROM facts

-- name: filter
SELECT count(*), sum(quantity) FROM facts WHERE day >= '2021-01-01' AND day < '2021-02-01' AND quantity > 25

-- name: filter text
SELECT count(*), sum(quantity) FROM facts WHERE note LIKE '%77 of 4%'

-- name: key range
SELECT count(*), sum(quantity) FROM facts WHERE id BETWEEN 40000 AND 49999

-- name: group by 16
SELECT region, count(*), sum(quantity), max(price) FROM facts GROUP BY region ORDER BY region

-- name: group by 100000
SELECT account, count(*) AS orders, sum(price) FROM facts GROUP BY account ORDER BY orders DESC, account LIMIT 10

-- name: distinct
SELECT count(DISTINCT account), count(DISTINCT day) FROM facts

-- name: top 10
SELECT id, score FROM facts ORDER BY score DESC LIMIT 10

-- name: top 100, all columns
SELECT * FROM facts WHERE is_paid ORDER BY score DESC LIMIT 100
