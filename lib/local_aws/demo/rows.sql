-- The rows, the same on every machine: whatever looks random is a hash of the row's number and a constant.

-- a die with so many sides, thrown for row n; each use has a number of its own
create function pg_temp.dice(n bigint, use integer, sides integer) returns integer
    language sql immutable return abs(hashint8extended(n, use) % sides)::integer;
-- how many rows stand for so many at scale 1
create function pg_temp.scaled(n integer) returns integer
    language sql stable return greatest(1, round(n * current_setting('demo.scale')::numeric))::integer;

alter table published_flights add column line integer generated always as identity;

insert into operations.flights
select line, carrier, flight, tailnum, origin, dest,
    make_timestamp(year, month, day, hour, minute, 0),
    make_timestamp(year, month, day, hour, minute, 0) + dep_delay * interval '1 minute',
    dep_delay,
    make_time(sched_arr_time / 100, sched_arr_time % 100, 0),
    make_time(arr_time / 100, arr_time % 100, 0),
    arr_delay, air_time, distance,
    dep_time is null,
    time_hour
from published_flights
where pg_temp.dice(line, 1, 1000000) < 1000000 * current_setting('demo.scale')::numeric
order by line;

create temporary table sold as
select row_number() over (order by flight_id) - 1 as position, flight_id, distance,
    scheduled_departure at time zone 'America/New_York' as departure
from operations.flights;
analyze sold;

insert into customers.passengers
select n,
    case when n % 40 <> 13 then (array['Olivia', 'James', 'José', 'Zoë', 'Łukasz', 'Øyvind', 'Åsa', 'François', 'Siân',
        'Jürgen', 'Nguyễn', 'Мария', 'Дмитрий', 'Ελένη', 'محمد', 'שרה', 'प्रिया', '美咲', '健', '小明', '지우', 'ณัฐ',
        'D''Arcy', 'Mary Ann', 'Jean-Luc', E'Zoe\u0308', 'Ana', 'Wei', 'Aisha', 'Tom', 'Grace', 'Ivan'])
        [1 + pg_temp.dice(n, 2, 32)] end,
    (array['Smith', 'O''Brien', 'García Márquez', 'Müller', 'Sørensen', 'Dvořák', 'Wójcik', 'Þórsson', 'İnönü', 'Ștefan',
        'Nguyễn', 'Иванова', 'Παπαδόπουλος', 'العلي', 'כהן', 'शर्मा', '佐藤', '𠮷田', '王', '김', 'ศรีสุข', 'van der Berg',
        'Smith-Jones', 'de la Cruz', 'Null', 'Li', 'Okafor', 'Silva', 'Rossi', 'Kowalski', 'Brown', 'Ōtani'])
        [1 + pg_temp.dice(n, 3, 32)],
    case when n % 20 <> 7 then (array['traveller', 'flyer', 'window.seat', 'aisle+news'])[1 + pg_temp.dice(n, 4, 4)]
        || n || (array['@example.com', '@example.org', '@example.net'])[1 + pg_temp.dice(n, 5, 3)] end,
    case when n % 5 <> 1 then chr(65 + pg_temp.dice(n, 6, 26)) || lpad(pg_temp.dice(n, 7, 100000000)::text, 8, '0') end,
    case when n % 50 <> 9 then date '1930-01-01' + pg_temp.dice(n, 8, 29200) end,
    case when n % 3 <> 0 then pg_temp.dice(n, 9, 2) = 1 end,
    timestamptz '2008-01-01 00:00:00Z' + pg_temp.dice(n, 10, 140000000) * interval '1 second'
from generate_series(1, pg_temp.scaled(200000)) as n;

insert into customers.bookings
select n, passenger, flight_id, upper(substr(md5(n::text), 1, 6)),
    cabin::customers.cabin_class,
    case when n % 4 <> 0 then 1 + pg_temp.dice(n, 11, 38) || chr(65 + pg_temp.dice(n, 12, 6)) end,
    round((35 + 0.11 * distance) * fare * (0.70 + pg_temp.dice(n, 13, 700) / 1000.0), 2),
    n % 25 = 11,
    departure - pg_temp.dice(n, 14, 200) * interval '1 day' - pg_temp.dice(n, 15, 2000000000) * interval '43.2 microseconds'
from (
    select n, 1 + pg_temp.dice(n, 16, pg_temp.scaled(200000)) as passenger,
        pg_temp.dice(n, 17, (select count(*)::integer from sold)) as position,
        width_bucket(pg_temp.dice(n, 18, 100), array[0, 82, 92, 98]) as class
    from generate_series(1, pg_temp.scaled(500000)) as n
) as sale
join sold using (position)
join (values (1, 'economy', 1.0), (2, 'premium economy', 1.6), (3, 'business', 3.4), (4, 'first', 5.5))
    as cabins (class, cabin, fare) using (class)
order by n;

insert into customers.payments
select row_number() over (order by booking_id), booking_id,
    round(price * coalesce(rate, 1), 2), currency, rate,
    case
        when booking_id % 30 = 4 then null
        when booking_id % 30 = 5 then 'null'::jsonb
        else jsonb_build_object(
            'method', case when booking_id % 6 = 0 then 'transfer' else 'card' end,
            'card', case when booking_id % 6 <> 0 then jsonb_build_object('last4', lpad((booking_id * 7 % 10000)::text, 4, '0')) end,
            'fee', round(price * 0.014, 3), 'attempts', 1 + booking_id % 3, 'note', case when booking_id % 10 = 0 then 'paid “twice”, ≥ 1 €' end)
    end,
    booked_at + pg_temp.dice(booking_id, 19, 86400) * interval '1 second'
from customers.bookings
cross join lateral (
    select (array['USD', 'USD', 'USD', 'USD', 'EUR', 'GBP', 'JPY', 'CAD'])[1 + pg_temp.dice(booking_id, 20, 8)] as currency
) as chosen
left join lateral (
    select round(base * (0.95 + pg_temp.dice(booking_id, 21, 100000) / 1000000.0), case when booking_id % 3 = 0 then 10 else 4 end) as rate
    from (values ('EUR', 0.7531), ('GBP', 0.6402), ('JPY', 97.6), ('CAD', 1.0302)) as rates (code, base)
    where code = currency
) as rate on true
where booking_id % 10 <> 9
order by booking_id;

insert into customers.support_messages
select n, coalesce(passenger_id, 1 + pg_temp.dice(n, 22, pg_temp.scaled(200000))), booking_id,
    case when n % 7 = 0 then '' when n % 7 <> 3 then
        (array['Refund?', 'Lost "blue" suitcase', 'Seat 12A; window', 'Thank you 🙏', 'RE: RE: délai'])[1 + pg_temp.dice(n, 24, 5)] end,
    (
        select left(string_agg((array[
            'I have been waiting since 6:30 and nobody at the desk could tell me when the flight would leave.',
            'The answer was "come back tomorrow", which isn''t good enough.', E'\n\nSecond point:\n\t- the bag, \\N, arrived late;\r\n',
            'Ich möchte höflich um eine Rückerstattung bitten – der Flug wurde gestrichen.', '荷物がまだ届いていません。至急ご連絡ください。',
            'Мне так и не ответили на прошлое письмо.', 'لم أستلم أمتعتي بعد', '🙂✈️ otherwise a pleasant trip!',
            'My costs: 12,50 € for food; $48.00 for the taxi | receipts attached.', 'C:\temp\new folder\receipt.pdf', '=1+1', 'NULL',
            'We were rebooked twice, and the second time our seats were given away although we had checked in the evening before.',
            'Please call me back.', '   ', 'Best regards'])[1 + pg_temp.dice(n * 1000 + i, 25, 16)], ' ' order by i), 7900)
        from generate_series(0, (pg_temp.dice(n, 26, 13) * pg_temp.dice(n, 27, 13))) as i
    ),
    coalesce(booked_at, timestamptz '2013-01-01 00:00:00Z') + pg_temp.dice(n, 28, 8000000) * interval '1 second'
from generate_series(1, pg_temp.scaled(10000)) as n
left join customers.bookings on n % 3 <> 0 and booking_id = 1 + pg_temp.dice(n, 23, pg_temp.scaled(500000))
order by n;

insert into customers.scanned_documents
select n, 1 + pg_temp.dice(n, 29, pg_temp.scaled(200000)),
    (array['passport', 'visa', 'identity card', 'vaccination'])[1 + pg_temp.dice(n, 30, 4)],
    case n % 25 when 8 then null when 9 then ''::bytea else
        (select string_agg(sha512(int8send(n * 1000::bigint + i)), null order by i) from generate_series(0, 40 + pg_temp.dice(n, 31, 600)) as i)
    end,
    timestamptz '2013-01-01 00:00:00Z' + pg_temp.dice(n, 32, 31536000) * interval '1 second'
from generate_series(1, pg_temp.scaled(2500)) as n;

insert into customers.web_visits
select timestamptz '2013-01-01 00:00:00Z' + pg_temp.dice(n / 8, 33, 31530000) * interval '1 second'
        + (n % 8 * 311 + pg_temp.dice(n, 43, 300)) * interval '1.000003 seconds',
    md5('session ' || n / 8)::uuid,
    case when n / 8 % 3 = 0 then 1 + pg_temp.dice(n / 8, 34, pg_temp.scaled(200000)) end,
    case when n / 8 % 10 = 0 then inet '2001:db8::' + pg_temp.dice(n / 8, 35, 1000000)
        else inet '198.51.100.0' + pg_temp.dice(n / 8, 35, 256) end,
    (array['/', '/search?from=JFK&to=LAX', '/book', '/check-in', '/miles', '/hilfe/gepäck'])[1 + pg_temp.dice(n, 36, 6)],
    case when n % 8 <> 7 then pg_temp.dice(n, 37, 100000) / 1000.0 end
from (
    select n from generate_series(1, pg_temp.scaled(100000)) as n
    union all
    select n from generate_series(1, pg_temp.scaled(100000), 100) as n  -- these come twice
    order by n
) as visit;

insert into customers."LoyaltyCards"
select 'LB' || lpad((n * 104729::bigint % 100000000)::text, 8, '0') || 'X',
    1 + pg_temp.dice(n, 42, pg_temp.scaled(200000)),
    (array['Blue', 'Blue', 'Blue', 'Silver', 'Gold', 'Platinum'])[1 + pg_temp.dice(n, 38, 6)],
    pg_temp.dice(n, 39, 20000) * pg_temp.dice(n, 40, 50),
    date '2000-01-01' + pg_temp.dice(n, 41, 4700)
from generate_series(1, pg_temp.scaled(60000)) as n;
