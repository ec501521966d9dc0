"""From raw to curated without the job: a test writes what the job would write, and looks at what
readers find when a run ends anywhere.
"""

import io
import json
import re
from dataclasses import replace

import boto3
import pyarrow
import pyarrow.parquet
import pytest

from lakebook import LeftOut, ensure, gates
from lakebook.ensure import Call, calls
from lakebook.errors import CheckError, LakebookError
from lakebook.layers import curation, documents, lake, layout_parameters, warehouse
from lakebook.names import Names
from lakebook.reconcile import measure as reconcile
from lakebook.reconcile import relations
from lakebook.services import athena, glue, s3
from lakebook.source.model import Column, LakeType, Table

NAMES = Names("acme", "curation", "123456789012", "eu-west-1")
BY_KIND = {"s.sales": "value(kind)"}
COLUMNS = (
    Column("id", "id", "integer", LakeType("int32")),
    Column("kind", "kind", "text", LakeType("string", longest_bytes=10)),
    Column("price", "price", "integer", LakeType("int32")),
)
SALES = Table("s", "sales", "s_sales", 3, False, 0, COLUMNS, ("id",))
ROWS = [(1, "a", 10), (2, "b", 20), (3, "c c", 30)]


class Interrupted(BaseException):
    """The run ends here, as by a kill."""


@pytest.fixture(scope="module")
def buckets(stand_in):
    for each in (NAMES.raw_bucket, NAMES.curated_bucket, NAMES.jobs_bucket):
        boto3.client("s3").create_bucket(
            Bucket=each, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
    results = {"OutputLocation": f"s3://{NAMES.jobs_bucket}/athena/"}
    boto3.client("athena").create_work_group(
        Name=NAMES.resource("lakebook"), Configuration={"ResultConfiguration": results}
    )
    for layer in ("raw", "curated", "staging"):
        ensure([glue.database(NAMES.database(layer), layer)], apply=True)


@pytest.fixture
def sales(buckets):
    """A lake with one table, all of it proved."""
    delivered(SALES, ROWS)
    curated(BY_KIND)
    assert prices() == 60
    yield
    for layer in ("raw", "curated", "staging"):
        boto3.client("glue").batch_delete_table(
            DatabaseName=NAMES.database(layer), TablesToDelete=["s_sales"]
        )
    for each in (NAMES.raw_bucket, NAMES.curated_bucket, NAMES.jobs_bucket):
        boto3.resource("s3").Bucket(each).objects.all().delete()


def put(uri, table):
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    bucket, key = s3.split(uri)
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=buffer.getvalue())


def arrow(rows, before=(), after=()):
    names = ["id", "kind", "price"]
    types = [pyarrow.int32(), pyarrow.string(), pyarrow.int32()]
    arrays = [pyarrow.array([row[n] for row in rows], kind) for n, kind in enumerate(types)]
    extra = pyarrow.array([""] * len(rows))
    return pyarrow.table(
        [*(extra for _ in before), *arrays, *(extra for _ in after)], [*before, *names, *after]
    )


def delivered(table, rows):
    """What 03 leaves: a raw file, catalogued and measured."""
    put(
        lake.raw_location(NAMES, table) + "LOAD00000001.parquet",
        arrow(rows, ["Op", "dms_timestamp"], ["dms_change_seq"]),
    )
    ensure([lake.raw_table(NAMES, table)], apply=True)
    workgroup = NAMES.resource("lakebook")
    raw = relations.athena(NAMES.database("raw"), table.catalog_name, table, workgroup)
    measure = reconcile.measure(raw, table, 63).to_json()
    files = lake.fingerprint(s3.objects(lake.raw_location(NAMES, table)))
    proof = lake.raw_proof("now", files, measure)
    kept = lake.measure_kept(table.catalog_name, NAMES, measure)
    ensure([kept, lake.raw_table(NAMES, table, proof)], apply=True)


def job(each):
    """What the job writes for a conversion, and its result; of a table called bad an error."""
    if each.table.name == "bad":
        return {each.table.catalog_name: {"error": "ConversionError: it is bad"}}
    rows = pyarrow.parquet.read_table(io.BytesIO(body(each.files[0])))
    for number, row in enumerate(rows.select(["id", "kind", "price"]).to_pylist()):
        folders = [f"{one['name']}={row[one['column']]}/" for one in each.partition_by]
        folder = "".join(folders).replace(" ", "%20")
        put(f"{each.location}{folder}{number}.parquet", arrow([tuple(row.values())]))
    outcome = {"rows": len(rows), "files": s3.objects(each.location)}
    return {each.table.catalog_name: outcome}


def body(uri):
    bucket, key = s3.split(uri)
    return boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def curated(partition_by, on_table_failure="stop"):
    """The cells of 05, the job's run apart; what is left out."""
    left_out = LeftOut("curated layer", on_table_failure)
    raw = curation.usable(lake.raw_tables(NAMES), left_out)
    found = curation.conversions(NAMES, raw, partition_by, "snappy")
    pending = [each for each in found if not each.done]
    if pending and curation.result(NAMES, pending) is None:
        outcome = {name: each for one in pending for name, each in job(one).items()}
        uri = curation._uri(NAMES, "results", pending)
        bucket, key = s3.split(uri)
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps({"tables": outcome}))
    ensure([curation.candidate(NAMES, each) for each in pending], apply=True)
    curation.note_failed(NAMES, pending, left_out)
    measured = gates.curated_equals_raw(NAMES, pending, 63, apply=True, left_out=left_out)
    ensure(curation.shown(NAMES, found, measured), apply=True)
    gates.readers_see(NAMES, pending, measured, 63, apply=True)
    ensure(curation.published(NAMES, found, measured), apply=True)
    assert calls(curation.published(NAMES, found, measured)) == []
    assert curation.unverified(NAMES, found, left_out) == []
    return left_out.reasons


def prices():
    """What a reader of Athena finds."""
    sql = "SELECT sum(price) FROM s_sales"
    [[found]] = athena.answer(sql, NAMES.database("curated"), NAMES.resource("lakebook"))
    return int(found or 0)


def proved():
    return [each["Name"] for each in lake.curated_tables(NAMES)]


def killed_at(monkeypatch, number):
    """Whoever makes the n-th changing call from here on is killed before it."""
    made, run = iter(range(1, 1000)), Call.run

    def counted(call):
        if next(made) == number:
            raise Interrupted
        return run(call)

    monkeypatch.setattr(Call, "run", counted)


def changed(partition_by):
    """The table is delivered anew with other prices, another kind and one less, and curated."""
    delivered(SALES, [(1, "a", 110), (2, "b", 120), (4, "d", 140)])
    curated(partition_by)


@pytest.mark.parametrize(
    "layout",
    [BY_KIND, {}, {"s.sales": "value(price)"}, {"s.sales": "value(kind),value(price)"}],
    ids=["same", "none", "other", "more"],
)
def test_a_run_that_ends_at_any_call_leaves_no_proof_of_what_readers_do_not_see(
    sales, monkeypatch, layout
):
    delivered(SALES, [(1, "a", 110), (2, "b", 120), (4, "d", 140)])
    for number in range(1, 12):
        with monkeypatch.context() as killing:
            killed_at(killing, number)
            try:
                curated(layout)
            except Interrupted:
                killing.undo()
                [proof] = [lake.proof_of(glue.describe(NAMES.database("curated"), "s_sales"))]
                found = curation.conversions(NAMES, lake.raw_tables(NAMES), layout, "snappy")
                assert proof.get("inputs") != found[0].inputs or prices() == 370
                continue
        break
    assert number > 2
    curated(layout)
    assert (prices(), proved()) == (370, ["s_sales"])


def test_a_partition_that_was_deleted_or_moved_comes_back(sales):
    where = {"DatabaseName": NAMES.database("curated"), "TableName": "s_sales"}
    catalog = boto3.client("glue")
    catalog.delete_partition(**where, PartitionValues=["a"])
    other = catalog.get_partition(**where, PartitionValues=["b"])["Partition"]
    storage = {**other["StorageDescriptor"], "Location": f"s3://{NAMES.curated_bucket}/elsewhere/"}
    moved = {"Values": ["b"], "StorageDescriptor": storage}
    catalog.update_partition(**where, PartitionValueList=["b"], PartitionInput=moved)
    assert prices() == 30
    curated(BY_KIND)
    assert prices() == 60


def test_a_proof_is_written_only_when_a_query_through_the_table_finds_what_was_judged(
    sales, monkeypatch
):
    """Here a call says that it moved the partitions, and did not."""
    monkeypatch.setattr(glue, "partitions", lambda *_: iter(()))
    with pytest.raises(CheckError, match="readers see = curated"):
        changed(BY_KIND)
    assert (proved(), warehouse.unverified(NAMES)) == ([], ["s_sales"])
    monkeypatch.undo()
    curated(BY_KIND)
    assert (prices(), proved()) == (370, ["s_sales"])


def test_a_layout_without_partitions_leaves_none_in_the_catalog(sales):
    curated({})
    assert prices() == 60
    assert glue.found_partitions(NAMES.database("curated"), "s_sales") == []


def test_snapshots_that_partitions_still_show_do_not_expire(sales, monkeypatch):
    delivered(SALES, [(1, "a", 110)])
    with monkeypatch.context() as killing:
        killed_at(killing, 3)  # the table has been switched, its partitions have not
        with pytest.raises(Interrupted):
            curated(BY_KIND)
    assert prices() == 60
    monkeypatch.setattr(
        s3,
        "modified",
        lambda uri, kept=s3.modified: [(u, t.replace(year=2020)) for u, t in kept(uri)],
    )
    ensure(curation.expired(NAMES, {"snapshots": 1}, []), apply=True)
    assert prices() == 60


@pytest.mark.parametrize("given", [{"s.sales": 5}, {"s.sales": None}, {"s.sales": ["value(kind)"]}])
def test_a_layout_is_a_text_for_each_table(given):
    with pytest.raises(LakebookError, match=r"partition_by .*s\.sales must be a text"):
        layout_parameters.misnamed([SALES], given, {})
    with pytest.raises(LakebookError, match=r"warehouse_keys .*s\.sales must be a text"):
        layout_parameters.misnamed([SALES], {}, given)


@pytest.mark.parametrize(
    ("partition_by", "keys", "told"),
    [
        ({"s.sale": "value(kind)"}, {}, "partition_by: s.sale is no table; there are s.sales"),
        ({"s.sales": "value(kindd)"}, {}, "partition_by of s.sales: .*among id, kind, price"),
        ({"s.sales": "weekly(kind)"}, {}, r"is not year\(c\)"),
        ({"s.sales": "value(kind),weekly(kind)"}, {}, r"is not year\(c\)"),
        ({}, {"s.sale": "diststyle all"}, "warehouse_keys: s.sale is no table; .* s.sales"),
        ({}, {"s.sales": "distkey(idd)"}, "no column idd; there are id, kind, price"),
        ({}, {"s.sales": 'distkey("id") sortkey(price, "x")'}, "no column x; there are id, kind"),
        ({}, {"s.sales": "by id"}, "is not diststyle all"),
    ],
)
def test_what_parameters_name_and_the_source_does_not_have_is_told_with_what_there_is(
    partition_by, keys, told
):
    [found] = layout_parameters.misnamed([SALES], partition_by, keys)
    assert re.search(told, found)


def test_what_is_named_rightly_is_not_told_and_a_table_yet_to_come_stops_no_plan(sales):
    both = {"s.sales": "value(kind), value(price)"}
    assert layout_parameters.misnamed([SALES], both, {"s.sales": "distkey(id) sortkey(id)"}) == []
    assert layout_parameters.misnamed([SALES], {}, {"models.x_predictions": "diststyle all"}) == []
    shop = {"shop.s.sales": "month(id)"}
    assert layout_parameters.misnamed([SALES], shop, {}, elsewhere=True) == []
    assert len(layout_parameters.misnamed([SALES], shop, {})) == 1
    typo = {"s.sale": "month(id)"}
    assert len(layout_parameters.misnamed([SALES], typo, {}, elsewhere=True)) == 1
    new = {"s.new": "month(at)", "s.sales": "month(not_yet)"}
    found = curation.conversions(NAMES, lake.raw_tables(NAMES), new, "snappy")
    assert [each.partition_by for each in found] == [[]]
    assert warehouse.tables(NAMES, {"s.new": "diststyle all"}, 63)


def test_a_raw_table_that_is_begun_again_after_each_call_is_as_one_made_in_one_go(bad):
    wanted, made = lake.raw_table(NAMES, BAD), []
    while len(made) < 9 and (call := next(iter(wanted), None)):
        call.run()
        made.append(call.action)
    assert made == ["s3:PutObject", "glue:CreateTable"]
    assert BAD.full_name in [each.source.full_name for each in lake.raw_tables(NAMES)]


BAD = replace(SALES, name="bad", catalog_name="s_bad")


@pytest.fixture
def bad(sales):
    yield
    for layer in ("raw", "curated", "staging"):
        boto3.client("glue").batch_delete_table(
            DatabaseName=NAMES.database(layer), TablesToDelete=["s_bad"]
        )


def test_a_table_that_fails_stops_the_others_only_where_the_parameter_says_stop(bad):
    delivered(BAD, ROWS)
    delivered(SALES, [(1, "a", 5)])
    with pytest.raises(CheckError, match=r"s\.bad is not in the curated layer: .*it is bad"):
        curated(BY_KIND)
    assert prices() == 60
    left = curated(BY_KIND, "exclude")
    assert list(left) == ["s.bad"]
    assert (prices(), proved()) == (5, ["s_sales"])


def test_a_table_that_differs_is_left_out_and_comes_back_when_it_is_mended(bad, monkeypatch):
    mended = replace(BAD, name="mended")
    delivered(mended, ROWS)
    with monkeypatch.context() as differing:
        compare = reconcile.compare
        other = lambda left, right: compare(left, replace(right, row_hash=right.row_hash + 1))  # noqa: E731
        differing.setattr(reconcile, "compare", other)
        assert "curated = raw does not hold" in curated(BY_KIND, "exclude")["s.mended"]
    assert proved() == ["s_sales"]
    assert curated(BY_KIND, "exclude") == {}
    assert proved() == ["s_bad", "s_sales"]


def test_a_raw_table_that_was_not_found_equal_to_the_source_is_left_out(bad):
    ensure([lake.raw_table(NAMES, BAD)], apply=True)
    with pytest.raises(CheckError, match=r"s\.bad is not in the curated layer: .* run 03"):
        curated(BY_KIND)
    assert list(curated(BY_KIND, "exclude")) == ["s.bad"]


def test_what_happens_with_a_table_that_fails_is_one_of_two_words():
    with pytest.raises(LakebookError, match="write stop or exclude"):
        LeftOut("warehouse", "go on")


def test_raw_files_of_a_schema_called_landing_are_no_documents(sales):
    table = replace(SALES, schema="landing", catalog_name="landing_sales")
    delivered(table, ROWS)
    put(f"s3://{NAMES.raw_bucket}/landing/a/letter.txt", arrow(ROWS))
    found = [each["uri"].rpartition("/")[2] for each in documents.landing(NAMES).objects]
    assert found == ["letter.txt"]
    of_ours = replace(table, name="documents", catalog_name="landing_documents")
    ensure([lake.raw_table(NAMES, of_ours)], apply=True)
    with pytest.raises(LakebookError, match=r"landing\.documents, .* \(excluded_tables\)"):
        documents.landing(NAMES)
    names = ["landing_sales", "landing_documents"]
    boto3.client("glue").batch_delete_table(
        DatabaseName=NAMES.database("raw"), TablesToDelete=names
    )
