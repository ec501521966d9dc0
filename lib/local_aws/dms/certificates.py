"""DMS certificates: the authorities by which endpoints verify who answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography import x509

from local_aws.dms.instances import Instances
from local_aws.dms.records import Record, check_new, find, matching, not_here, page
from local_aws.errors import ApiError
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from pathlib import Path

    from local_aws.service import Call
    from local_aws.stand_in import StandIn

VERIFYING = ("verify-ca", "verify-full")


class Certificates(Instances):
    """Certificates in PEM; Oracle's wallets are refused."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(stand_in)
        self.certificates: dict[str, Record] = {}

    def ImportCertificate(self, call: Call) -> dict[str, Any]:
        """A certificate; InvalidCertificateFault for what is none in PEM.

        https://docs.aws.amazon.com/dms/latest/APIReference/API_ImportCertificate.html
        """
        request = call.parameters
        if "CertificateWallet" in request:
            raise not_here("an Oracle wallet as a DMS certificate, only a CertificatePem")
        name, pem = request["CertificateIdentifier"].lower(), request.get("CertificatePem", "")
        try:
            read = x509.load_pem_x509_certificates(pem.encode())[0]
        except ValueError as error:
            raise ApiError(
                "InvalidCertificateFault", f"The certificate {name} is not valid PEM."
            ) from error
        with self.lock:
            check_new(self.certificates.values(), "CertificateIdentifier", name, "Certificate")
            arn = self.arn("cert", call)
            self.certificates[arn] = {
                "CertificateIdentifier": name,
                "CertificateArn": arn,
                "CertificatePem": pem,
                "CertificateOwner": ACCOUNT,
                "CertificateCreationDate": read.not_valid_before_utc,
                "ValidFromDate": read.not_valid_before_utc,
                "ValidToDate": read.not_valid_after_utc,
            }
            self.keep_tags(arn, call)
        return {"Certificate": self.certificates[arn]}

    def DescribeCertificates(self, call: Call) -> dict[str, Any]:
        """The certificates that fulfil the filters."""
        members: Any = {
            "certificate-arn": "CertificateArn",
            "certificate-id": "CertificateIdentifier",
        }
        found = matching(call, self.certificates.values(), members, "certificates")
        return page(call, "Certificates", found)

    def check_certificate(self, endpoint: Record) -> None:
        """Refuse an endpoint that is to verify, and has no certificate to do it by ("Using SSL with
        AWS Database Migration Service"), or one that does not exist.
        """
        if arn := endpoint.get("CertificateArn"):
            find(self.certificates, arn, "Certificate")
        elif endpoint["SslMode"] in VERIFYING:
            text = f"The SslMode {endpoint['SslMode']} needs a CertificateArn."
            raise ApiError("InvalidParameterCombinationException", text)

    def authority_file(self, endpoint: Record) -> Path | None:
        """A file with the certificate of an endpoint, for libpq."""
        if endpoint["SslMode"] not in VERIFYING:
            return None
        arn = endpoint["CertificateArn"]
        file = self.stand_in.directory / f"{arn.rpartition(':')[2]}.pem"
        file.write_text(self.certificates[arn]["CertificatePem"])
        return file
