"""The certificate of the authority by which DMS verifies that it is the source that answers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lakebook import aws
from lakebook.ensure import Call, current, resource
from lakebook.errors import LakebookError
from lakebook.project import project
from lakebook.services import iam

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakebook.names import Names

GONE = "ResourceNotFoundFault"
VERIFYING = ("verify-ca", "verify-full")
PEM = "-----BEGIN CERTIFICATE-----"


def authority(ssl_mode: str, file: str) -> str:
    """The certificate in a file of this repository, as PEM; "" where the mode verifies nothing
    (none, and require, which only encrypts).

    Raises LakebookError where the mode needs one and the file has none.
    https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Security.SSL.html
    """
    if ssl_mode not in VERIFYING:
        return ""
    if not file:
        raise LakebookError(
            f"source_ssl_mode {ssl_mode} verifies the source by the certificate of its authority:"
            " name its PEM file as source_certificate_file, or choose require, which only encrypts."
        )
    try:
        text = (project() / file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise LakebookError(f"The certificate {file} cannot be read: {error}.") from error
    if PEM not in text:
        raise LakebookError(f"The certificate {file} is not PEM: it has no line {PEM}.")
    return text


def name(names: Names, pem: str) -> str:
    """The identifier of a certificate, another for another content: DMS changes none."""
    return names.resource(f"source-ca-{hashlib.sha256(pem.encode()).hexdigest()[:8]}")


def arn(identifier: str) -> str:
    """The ARN of a certificate; words in its stead while there is none, for plans."""
    filters = [{"Name": "certificate-id", "Values": [identifier]}]
    found = current(aws.client("dms").describe_certificates, GONE, Filters=filters)
    listed = found["Certificates"] if found else []
    return str(listed[0]["CertificateArn"]) if listed else f"<the certificate {identifier}>"


@resource
def certificate(identifier: str, pem: str, tags: dict[str, str]) -> Iterator[Call]:
    """A certificate of DMS."""
    if arn(identifier).startswith("<"):
        arguments = {"CertificateIdentifier": identifier, "CertificatePem": pem}
        yield Call(aws.client("dms").import_certificate, {**arguments, "Tags": iam.as_list(tags)})
