package local_aws

import java.io.{File, FileNotFoundException, IOException}
import java.net.{HttpURLConnection, URI, URLEncoder}
import java.nio.file.AccessDeniedException
import scala.collection.concurrent.TrieMap
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FSDataInputStream, FSDataOutputStream, FileStatus, Path, RawLocalFileSystem}
import org.apache.hadoop.fs.permission.FsPermission
import org.apache.hadoop.util.Progressable

/** s3://BUCKET/KEY as the file ${local_aws.s3.directory}/BUCKET/KEY, as far as the job's role may; a bucket that does not exist is
  * an error.
  */
class DirectoryS3 extends RawLocalFileSystem {
  private var bucket: URI = _ // null while the parent's constructor runs
  private var folder: File = _
  private var access: Access = _

  override def initialize(name: URI, conf: Configuration): Unit = {
    folder = new File(conf.get("local_aws.s3.directory"), name.getAuthority)
    if (!folder.isDirectory) throw new FileNotFoundException(s"The bucket ${name.getAuthority} does not exist")
    bucket = URI.create(s"${name.getScheme}://${name.getAuthority}")
    super.initialize(bucket, conf)
    setConf(conf)
    access = new Access(conf.get("local_aws.s3.access"), name.getAuthority)
    setWorkingDirectory(getInitialWorkingDirectory)
  }

  override def getUri: URI = if (bucket == null) super.getUri else bucket
  override def getScheme: String = if (bucket == null) "s3" else bucket.getScheme
  override protected def getInitialWorkingDirectory: Path =
    if (bucket == null) super.getInitialWorkingDirectory else new Path(s"$bucket/")
  override def pathToFile(path: Path): File = new File(folder, makeQualified(path).toUri.getPath)

  override def getFileStatus(path: Path): FileStatus = {
    val file = pathToFile(path)
    if (file.isFile) access.check("HeadObject", key(path)) else access.check("ListObjectsV2", key(path) + "/")
    status(existing(path), makeQualified(path))
  }
  override def getFileLinkStatus(path: Path): FileStatus = getFileStatus(path)

  override def listStatus(path: Path): Array[FileStatus] = {
    access.check("ListObjectsV2", key(path) + "/")
    val (file, full) = (existing(path), makeQualified(path))
    if (file.isFile) Array(status(file, full))
    else file.listFiles.sortBy(_.getName).map(child => status(child, new Path(full, child.getName)))
  }

  override def open(path: Path, buffer: Int): FSDataInputStream = {
    access.check("GetObject", key(path))
    super.open(path, buffer)
  }

  override def delete(path: Path, recursive: Boolean): Boolean = {
    if (pathToFile(path).exists) access.check("DeleteObject", all(path))
    super.delete(path, recursive)
  }

  // S3 cannot rename: it copies and deletes
  override def rename(from: Path, to: Path): Boolean = {
    access.check("GetObject", all(from))
    access.check("PutObject", key(to) + all(from).stripPrefix(key(from)))
    access.check("DeleteObject", all(from))
    super.rename(from, to)
  }

  // A fresh file every time: earlier versions of the object are hard links to the old one.
  override def create(path: Path, overwrite: Boolean, buffer: Int, copies: Short, block: Long, tell: Progressable)
      : FSDataOutputStream = {
    checkRegion(path)
    access.check("PutObject", key(path))
    if (overwrite) pathToFile(path).delete()
    super.create(path, overwrite, buffer, copies, block, tell)
  }
  override def create(path: Path, permission: FsPermission, overwrite: Boolean, buffer: Int, copies: Short, block: Long,
      tell: Progressable): FSDataOutputStream = create(path, overwrite, buffer, copies, block, tell)
  override def append(path: Path, buffer: Int, tell: Progressable): FSDataOutputStream =
    throw new UnsupportedOperationException(s"$path: S3 cannot append to an object")

  override def setPermission(path: Path, permission: FsPermission): Unit = () // S3 has none
  override def setTimes(path: Path, modified: Long, accessed: Long): Unit = ()

  // Glue 5.1 writes by S3A, which takes us-east-2 where neither a Region nor an endpoint in one is set:
  // https://docs.aws.amazon.com/glue/latest/dg/migrating-version-51.html (Spark sets s3.amazonaws.com, which is in none)
  private def checkRegion(path: Path): Unit = {
    val here = getConf.get("local_aws.s3.region", "")
    val other = if (getConf.get("fs.s3a.endpoint", "").contains(here)) here else "us-east-2"
    val asked = getConf.get("fs.s3a.endpoint.region", other)
    if (here.nonEmpty && asked != here)
      throw new IOException(s"$path: connect to s3.$asked.amazonaws.com timed out; the bucket is in $here")
  }

  private def key(path: Path): String = makeQualified(path).toUri.getPath.stripPrefix("/")

  private def all(path: Path): String = if (pathToFile(path).isDirectory) key(path) + "/" else key(path)

  private def existing(path: Path): File = {
    val file = pathToFile(path)
    if (!file.exists) throw new FileNotFoundException(s"${makeQualified(path)} does not exist")
    file
  }

  // Built by hand: the parent's asks `ls` for permissions, one process a file.
  private def status(file: File, path: Path): FileStatus = {
    val permission = if (file.isDirectory) FsPermission.getDirDefault else FsPermission.getFileDefault
    new FileStatus(if (file.isDirectory) 0 else file.length, file.isDirectory, 1, getDefaultBlockSize(path),
      file.lastModified, 0L, permission, "", "", path)
  }
}

/** Asks the stand-in whether the job's role may do something to an object; once for the objects of a folder. */
private class Access(address: String, bucket: String) {
  private val known = TrieMap[(String, String), String]()

  def check(operation: String, key: String): Unit = {
    val folder = if (operation == "ListObjectsV2") key else key.take(key.lastIndexOf('/') + 1)
    val refusal = known.getOrElseUpdate((operation, folder), ask(operation, key))
    if (refusal.nonEmpty)
      throw new AccessDeniedException(s"s3://$bucket/$key", null,
        s"Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied): $refusal")
  }

  private def ask(operation: String, key: String): String =
    StandIn.get(address, "operation" -> operation, "bucket" -> bucket, "key" -> key) match {
      case (200, _)     => ""
      case (_, refusal) => refusal
    }
}

private object StandIn {

  /** The status and the text of an answer of the stand-in. */
  def get(address: String, told: (String, String)*): (Int, String) = {
    val asked = told.map { case (name, value) => s"$name=${URLEncoder.encode(value, "UTF-8")}" }.mkString("&")
    val connection = new URI(s"$address&$asked").toURL.openConnection().asInstanceOf[HttpURLConnection]
    try {
      val status = connection.getResponseCode
      val stream = if (status == 200) connection.getInputStream else connection.getErrorStream
      (status, scala.io.Source.fromInputStream(stream, "UTF-8").mkString)
    } finally connection.disconnect()
  }
}
