package local_aws

import java.io.{File, FileNotFoundException}
import java.net.URI
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FSDataOutputStream, FileStatus, Path, RawLocalFileSystem}
import org.apache.hadoop.fs.permission.FsPermission
import org.apache.hadoop.util.Progressable

/** s3://BUCKET/KEY as the file ${local_aws.s3.directory}/BUCKET/KEY; a bucket that does not exist is an error. */
class DirectoryS3 extends RawLocalFileSystem {
  private var bucket: URI = _ // null while the parent's constructor runs
  private var folder: File = _

  override def initialize(name: URI, conf: Configuration): Unit = {
    folder = new File(conf.get("local_aws.s3.directory"), name.getAuthority)
    if (!folder.isDirectory) throw new FileNotFoundException(s"The bucket ${name.getAuthority} does not exist")
    bucket = URI.create(s"${name.getScheme}://${name.getAuthority}")
    super.initialize(bucket, conf)
    setConf(conf)
    setWorkingDirectory(getInitialWorkingDirectory)
  }

  override def getUri: URI = if (bucket == null) super.getUri else bucket
  override def getScheme: String = if (bucket == null) "s3" else bucket.getScheme
  override protected def getInitialWorkingDirectory: Path =
    if (bucket == null) super.getInitialWorkingDirectory else new Path(s"$bucket/")
  override def pathToFile(path: Path): File = new File(folder, makeQualified(path).toUri.getPath)

  override def getFileStatus(path: Path): FileStatus = status(existing(path), makeQualified(path))
  override def getFileLinkStatus(path: Path): FileStatus = getFileStatus(path)

  override def listStatus(path: Path): Array[FileStatus] = {
    val (file, full) = (existing(path), makeQualified(path))
    if (file.isFile) Array(status(file, full))
    else file.listFiles.sortBy(_.getName).map(child => status(child, new Path(full, child.getName)))
  }

  // A fresh file every time: earlier versions of the object are hard links to the old one.
  override def create(path: Path, overwrite: Boolean, buffer: Int, copies: Short, block: Long, tell: Progressable)
      : FSDataOutputStream = {
    if (overwrite) pathToFile(path).delete()
    super.create(path, overwrite, buffer, copies, block, tell)
  }
  override def create(path: Path, permission: FsPermission, overwrite: Boolean, buffer: Int, copies: Short, block: Long,
      tell: Progressable): FSDataOutputStream = create(path, overwrite, buffer, copies, block, tell)
  override def append(path: Path, buffer: Int, tell: Progressable): FSDataOutputStream =
    throw new UnsupportedOperationException(s"$path: S3 cannot append to an object")

  override def setPermission(path: Path, permission: FsPermission): Unit = () // S3 has none
  override def setTimes(path: Path, modified: Long, accessed: Long): Unit = ()

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
