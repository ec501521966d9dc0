-- The schema `reporting`: what dashboards and analysts read in the warehouse. One view a statement; the comment above it is
-- kept as the view's own. Views are late-binding, so that tables can be loaded anew under them, and hold no personal data:
-- whoever may read them needs no right on the tables. Phase 06 makes what is here and removes what is here no more.

-- Flights, cancellations and delays of each airline in each month; a flight is late from 15 minutes on
CREATE VIEW reporting.delays_by_carrier_and_month AS
SELECT
    f.carrier,
    l.name AS airline,
    date_trunc('month', f.scheduled_departure)::date AS month,
    count(*) AS flights,
    sum(CASE WHEN f.cancelled THEN 1 ELSE 0 END) AS cancelled,
    sum(CASE WHEN f.arrival_delay >= 15 THEN 1 ELSE 0 END) AS late,
    avg(f.departure_delay::decimal(10, 2)) AS mean_departure_delay_minutes,
    avg(f.arrival_delay::decimal(10, 2)) AS mean_arrival_delay_minutes
FROM operations.flights AS f
LEFT JOIN operations.airlines AS l ON l.carrier = f.carrier
GROUP BY f.carrier, l.name, date_trunc('month', f.scheduled_departure)::date
WITH NO SCHEMA BINDING;

-- Bookings and revenue of each route and cabin, in US dollars; cancelled bookings bring none
CREATE VIEW reporting.revenue_by_route AS
SELECT
    f.origin,
    f.destination,
    b.cabin,
    count(*) AS bookings,
    sum(CASE WHEN b.cancelled THEN 1 ELSE 0 END) AS cancelled,
    sum(CASE WHEN b.cancelled THEN 0 ELSE b.price END) AS revenue,
    max(f.distance) AS miles
FROM customers.bookings AS b
INNER JOIN operations.flights AS f ON f.flight_id = b.flight_id
GROUP BY f.origin, f.destination, b.cabin
WITH NO SCHEMA BINDING;

-- Punctuality by airport and hour of the planned departure, New York time
CREATE VIEW reporting.punctuality_by_hour AS
SELECT
    f.origin,
    extract(hour FROM f.scheduled_departure)::int AS hour,
    count(*) AS flights,
    sum(CASE WHEN f.departure_delay < 15 THEN 1 ELSE 0 END)::decimal(18, 4) / nullif(count(f.departure_delay), 0) AS on_time
FROM operations.flights AS f
GROUP BY f.origin, extract(hour FROM f.scheduled_departure)::int
WITH NO SCHEMA BINDING;

-- What each customer has booked and paid for; a number stands for the person, and the decade for the birth date
CREATE VIEW reporting.customer_value AS
SELECT
    p.passenger_id,
    extract(decade FROM p.birth_date)::int * 10 AS birth_decade,
    extract(year FROM p.registered_at)::int AS registered_in,
    c.tier,
    count(b.booking_id) AS bookings,
    sum(CASE WHEN b.cancelled THEN 0 ELSE b.price END) AS revenue,
    max(b.booked_at)::date AS last_booked_on
FROM customers.passengers AS p
LEFT JOIN customers.bookings AS b ON b.passenger_id = p.passenger_id
LEFT JOIN customers.loyaltycards AS c ON c.passengerid = p.passenger_id
GROUP BY p.passenger_id, p.birth_date, p.registered_at, c.tier
WITH NO SCHEMA BINDING;

-- Payments by method, read from the provider's document, and what the provider took
CREATE VIEW reporting.payments_by_method AS
SELECT
    p.details.method::varchar(32) AS method,
    p.currency,
    count(*) AS payments,
    sum(p.amount) AS amount,
    sum(p.details.fee::decimal(12, 3)) AS fees_usd,
    sum(CASE WHEN p.details.attempts::int > 1 THEN 1 ELSE 0 END) AS repeated
FROM customers.payments AS p
GROUP BY p.details.method::varchar(32), p.currency
WITH NO SCHEMA BINDING;
