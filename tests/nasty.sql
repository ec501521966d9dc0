create extension if not exists hstore; create extension if not exists citext;
create schema nasty; create schema "Sché""ma"; create schema hollow;
create type nasty.mood as enum ('sad','ok','happy, very');
create type nasty.pair as (a int, b text);
create domain nasty.amount as numeric(12,3) check (value > -1000);
create domain nasty.price as nasty.amount;
create domain nasty.tags as text[];
create domain nasty.code as char(5);
create table nasty.everything (
 id int primary key, i2 int2, i8 int8, n_free numeric, n_fix numeric(15,2), n_wide numeric(50,2), n_neg numeric(5,-2), n_small numeric(2,4), n_frac numeric(4,4),
 f4 float4, f8 float8, cash money, yes bool, c5 char(5), v20 varchar(20), v_long varchar, t text, ci citext, nm name, b bytea, j json, jb jsonb, hs hstore,
 tv tsvector, tq tsquery, ia int[], ta text[][], pr nasty.pair, u uuid, d date, tm time, tmz timetz, ts timestamp, tstz timestamptz, iv interval,
 md nasty.mood, ip inet, cd cidr, mac macaddr, bt bit(6), vb varbit, r int4range, mr nummultirange, pt point, pg polygon, bx box, pl pg_lsn, o oid,
 dom nasty.price, tags nasty.tags, code nasty.code, total numeric(15,2) generated always as (n_fix * 2) stored, ch "char", "Größe (cm)" int, "order" text, "a" int, "A" int, op text);
insert into nasty.everything (id) values (0);
insert into nasty.everything values (1,-32768,9223372036854775807,123.4567895,12.30,1.5,12300,0.0012,0.1234,1.5,'NaN','$1,234.50',true,'ab',E'tab\t"q"',repeat('é',40000),E'new\nline\\ and \x1e \x1f','CiTex','nam', (select string_agg(set_byte('\x00'::bytea,0,g),''::bytea) from generate_series(0,255) g),'{"a": 1.10, "a":2}','{"b":[1,2,null]}','a=>1,b=>NULL','the quick fox','fat & rat','{1,NULL,3}','{{a,"b,c"},{NULL,""}}','(1,"x,y")','a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11','2024-02-29','23:59:59.5','23:59:59.25+05:30','2024-02-29 12:34:56.7895','2024-02-29 12:34:56.789500+02','1 year -2 mons 3 days 28:05:06.5','happy, very','10.0.0.1','10.0.0.0/8','08:00:2b:01:02:03',B'101010',B'1','[1,5)','{[1,2),[5,6)}','(1.5,2)','((0,0),(1,1),(2,0))','((0,0),(1,1))','16/B374D848',4294967295,12.3456,'{x,y}','cd',default,'z',5,'select',1,2,'X'),
(2,1,-1,'NaN','NaN','NaN',null,null,null,'Infinity','-Infinity','-$0.01',false,'','','','','','', repeat('ab',30000)::bytea,null,null,'',null,null,'{}','[2:3][1:1]={{a},{b}}'::text[],'(,)',null,'infinity','24:00','00:00+00','infinity','-infinity','infinity','sad','10.0.0.1/8','::/0',null,null,'','empty',null,null,null,null,null,null,null,null,null,default,null,null,null,null,null,null),
(3,0,0,'Infinity',0,-99.99,-100,-0.0099,-0.9999,-1e-30,1e300,'0',null,'  ab ','  trailing  ',repeat('x',32767)||'é',repeat('x',32766)||'€',null,null,'',null,null,null,null,null,null,null,null,null,'-infinity',null,null,'0044-03-15 12:00 BC','20000-01-01','-1 year 1 mon',null,null,null,null,null,null,'(,)',null,null,null,null,null,null,null,null,null,default,null,null,null,null,null,null),
(4,7,8,1e22,4999999999999.99,1e40,99900,0.0099,0.9999,3.4e38,0.1,'$92233720368547758.07',true,'abcde','e',null,'plain',null,null,null,null,null,null,null,null,null,null,null,null,'12000-01-01',null,null,'9999-12-31 23:59:59.9996','1969-12-31 23:59:59.9995+00','0',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,default,null,null,null,null,null,null),
(5,7,8,9999999999999999999999.9999996,-1,0,0,0,-0.0001,0,-0.0,'0',true,'abcde','e',null,'plain',null,null,null,null,null,null,null,null,null,null,null,null,'4713-01-01 BC',null,null,'1900-01-01 00:00:00.0005','1969-12-31 23:59:59.999499+00','-00:00:00.5',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,default,null,null,null,null,null,null),
(6,7,8,-0.0000005,-1,0,0,0,-0.0001,0.30000001192,-1e-9,'0',true,'abcde','e',null,'plain',null,null,null,null,null,null,null,null,null,null,null,null,'1969-12-31',null,null,'2024-01-01 00:00:00.000499','2262-04-11 23:47:16.854775807+00','1 day -01:00:01',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,default,null,null,null,null,null,null);
create table nasty.no_key (a int, b text); insert into nasty.no_key select g%3, 'r'||g%2 from generate_series(1,12) g;
create table nasty.array_no_key (a int[]); insert into nasty.array_no_key values ('{1}'),('{2}');
create table nasty.empty_one (a int primary key, b text);
create table nasty.parts (id int, k text, at date, primary key (id, at)) partition by range (at);
create table nasty.parts_1 partition of nasty.parts for values from ('2020-01-01') to ('2021-01-01');
create table nasty.parts_2 partition of nasty.parts for values from ('2021-01-01') to ('2022-01-01') partition by hash (id);
create table nasty.parts_2a partition of nasty.parts_2 for values with (modulus 1, remainder 0);
insert into nasty.parts select g, 'k'||g, date '2020-06-01' + g from generate_series(1,500) g;
create table nasty."Order items" ("select" int, "Unicode ☃" text, "we""ird" int references nasty.everything(id), constraint k primary key ("select"));
insert into nasty."Order items" values (1,'☃',1),(2,'é',null);
create table "Sché""ma"."表" (id int primary key, "1st" int , "col 2" text);
create view nasty.a_view as select 1 as x; create materialized view nasty.a_mat as select 1 as x;
comment on table nasty.no_key is 'without a key'; comment on column nasty.no_key.a is 'a column';
do $$ begin execute 'create table nasty.wide ('||(select string_agg('c'||g||' '||(array['int','text','numeric(10,2)','timestamp','float8'])[1+g%5],',' order by g) from generate_series(1,200) g)||', primary key (c5))'; execute 'insert into nasty.wide (c5,c1,c2,c3,c4) select g, g::text, g*1.5, now(), g*0.1 from generate_series(1,50) g'; end $$;
comment on column nasty.wide.c1 is E'a Column\nof two lines';
