package local_aws

import java.util
import org.apache.spark.sql.{SparkSession, SparkSessionExtensions}
import org.apache.spark.sql.catalyst.analysis.{NoSuchFunctionException, NoSuchNamespaceException, NoSuchTableException, PersistedView}
import org.apache.spark.sql.catalyst.util.CharVarcharUtils.replaceCharVarcharWithStringInSchema
import org.apache.spark.sql.connector.catalog._
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction
import org.apache.spark.sql.connector.expressions.Transform
import org.apache.spark.sql.connector.read.ScanBuilder
import org.apache.spark.sql.execution.command._
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat
import org.apache.spark.sql.execution.datasources.v2.parquet.ParquetTable
import org.apache.spark.sql.types.StructType
import org.apache.spark.sql.util.CaseInsensitiveStringMap

/** The Data Catalog as Spark's own catalog, for reading: databases, tables, columns and rows are those that the stand-in shows to the
  * run, which ${spark.sql.catalog.spark_catalog.run} addresses.
  */
class FilteredCatalog extends CatalogExtension {
  private var shown: Shown = _

  override def name: String = "spark_catalog"
  override def initialize(name: String, options: CaseInsensitiveStringMap): Unit = shown = new Shown(options.get("run"))

  // `USE` looks for a database in Spark's own catalog, which has none with a hyphen.
  override def setDelegateCatalog(delegate: CatalogPlugin): Unit = {
    val own = delegate.asInstanceOf[SupportsNamespaces]
    listNamespaces().filter(_.head.matches("\\w+")).filterNot(own.namespaceExists).foreach(own.createNamespace(_, util.Map.of()))
  }

  override def listNamespaces(): Array[Array[String]] = shown.lines("databases").map(Array(_))
  override def listNamespaces(within: Array[String]): Array[Array[String]] = if (within.isEmpty) listNamespaces() else Array()
  override def namespaceExists(namespace: Array[String]): Boolean =
    namespace.length == 1 && listNamespaces().exists(_.head == namespace.head.toLowerCase)
  override def loadNamespaceMetadata(namespace: Array[String]): util.Map[String, String] =
    if (namespaceExists(namespace)) util.Map.of() else throw new NoSuchNamespaceException(namespace)

  override def listTables(namespace: Array[String]): Array[Identifier] =
    shown.lines("tables", namespace.head).map(Identifier.of(namespace, _))
  override def loadTable(table: Identifier): Table = {
    val columns = shown("columns", table.namespace.head, table.name).getOrElse(throw new NoSuchTableException(table))
    new FilteredTable(shown, table, replaceCharVarcharWithStringInSchema(StructType.fromDDL(columns)))
  }
  override def tableExists(table: Identifier): Boolean =
    shown("columns", table.namespace.head, table.name).nonEmpty

  override def createTable(table: Identifier, schema: StructType, parts: Array[Transform], properties: util.Map[String, String])
      : Table = refuse(s"create $table")
  override def alterTable(table: Identifier, changes: TableChange*): Table = refuse(s"alter $table")
  override def dropTable(table: Identifier): Boolean = refuse(s"drop $table")
  override def renameTable(from: Identifier, to: Identifier): Unit = refuse(s"rename $from")
  override def createNamespace(namespace: Array[String], metadata: util.Map[String, String]): Unit =
    refuse(s"create ${namespace.head}")
  override def alterNamespace(namespace: Array[String], changes: NamespaceChange*): Unit = refuse(s"alter ${namespace.head}")
  override def dropNamespace(namespace: Array[String], cascade: Boolean): Boolean = refuse(s"drop ${namespace.head}")

  override def listFunctions(namespace: Array[String]): Array[Identifier] = Array()
  override def loadFunction(function: Identifier): UnboundFunction = throw new NoSuchFunctionException(function)

  private def refuse(what: String): Nothing = ReadsOnly.refuse(what)
}

/** Refuses what Spark would do in its own catalog without asking ours. */
class ReadsOnly extends (SparkSessionExtensions => Unit) {
  override def apply(extensions: SparkSessionExtensions): Unit = extensions.injectCheckRule(_ => {
    case made: CreateDataSourceTableCommand => ReadsOnly.refuse(s"create ${made.table.identifier}")
    case made: CreateDataSourceTableAsSelectCommand => ReadsOnly.refuse(s"create ${made.table.identifier}")
    case made: CreateTableLikeCommand => ReadsOnly.refuse(s"create ${made.targetTable}")
    case made: CreateViewCommand if made.viewType == PersistedView => ReadsOnly.refuse(s"create ${made.name}")
    case _ => ()
  })
}

private object ReadsOnly {
  def refuse(what: String): Nothing =
    throw new UnsupportedOperationException(
      s"With fine-grained access local_aws only reads the Data Catalog, as Glue 5.0 does, and not $what as 5.1 may")
}

/** A table with the columns that are seen; its rows are filtered anew for each scan. */
private class FilteredTable(shown: Shown, table: Identifier, columns: StructType) extends Table with SupportsRead {
  override def name: String = table.toString
  override def schema: StructType = columns
  override def capabilities: util.Set[TableCapability] = util.EnumSet.of(TableCapability.BATCH_READ)

  override def newScanBuilder(options: CaseInsensitiveStringMap): ScanBuilder = {
    val rows = shown("rows", table.namespace.head, table.name).getOrElse(throw new NoSuchTableException(table))
    ParquetTable(name, SparkSession.active, options, Seq(rows), Some(columns), classOf[ParquetFileFormat]).newScanBuilder(options)
  }
}

/** What the stand-in answers to one run; it knows as whom. */
private class Shown(address: String) {
  def lines(asked: String, database: String = ""): Array[String] =
    apply(asked, database).getOrElse(throw new NoSuchNamespaceException(Array(database))).split('\n').filter(_.nonEmpty)

  def apply(asked: String, database: String = "", table: String = ""): Option[String] =
    StandIn.get(address, "asked" -> asked, "database" -> database, "table" -> table) match {
      case (200, text)    => Some(text)
      case (404, _)       => None
      case (403, refusal) => throw new SecurityException(refusal)
      case (_, failure)   => throw new IllegalStateException(failure)
    }
}
