"""KMS: moto encrypts for real; here are the rules it lacks, on states of keys, their names in
calls, and who a key policy may name.
"""

from __future__ import annotations

from typing import Any

from moto.kms.models import kms_backends

from local_aws.errors import ApiError
from local_aws.iam.named_principals import unknown_principals
from local_aws.names import ACCOUNT
from local_aws.service import Call, Service

STATES = {"Disabled": "DisabledException", "PendingDeletion": "KMSInvalidStateException"}


class Kms(Service):
    """What moto answers truthfully, with keys that can be disabled and policies that are read
    before they are kept.
    """

    def CreateKey(self, call: Call) -> dict[str, Any]:
        """A key; MalformedPolicyDocumentException where its policy names nobody that exists."""
        self._check_policy(call)
        return call.moto()

    def PutKeyPolicy(self, call: Call) -> dict[str, Any]:
        """Replaces a policy; returns {}; MalformedPolicyDocumentException where it names nobody."""
        self._check_policy(call)
        return call.moto()

    def EnableKey(self, call: Call) -> dict[str, Any]:
        """Enables a key; returns {}; KMSInvalidStateException for one that is pending deletion."""
        self._turn(call, "Enabled", enabled=True)
        return {}

    def DisableKey(self, call: Call) -> dict[str, Any]:
        """Disables a key; returns {}; KMSInvalidStateException for one that is pending deletion."""
        self._turn(call, "Disabled", enabled=False)
        return {}

    def ScheduleKeyDeletion(self, call: Call) -> dict[str, Any]:
        """The key with its state and when it will be gone, after 7 to 30 days."""
        key, days = self._key(call), call.parameters.get("PendingWindowInDays", 30)
        if not 7 <= days <= 30:
            raise ApiError("ValidationException", "PendingWindowInDays is 7 to 30.")
        if key.key_state == "PendingDeletion":
            raise ApiError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        self._backend().schedule_key_deletion(key.id, days)
        at = key.deletion_date
        return {
            "KeyId": key.arn,
            "DeletionDate": at,
            "KeyState": key.key_state,
            "PendingWindowInDays": days,
        }

    def CancelKeyDeletion(self, call: Call) -> dict[str, Any]:
        """The key, which is disabled then."""
        key = self._key(call)
        if key.key_state != "PendingDeletion":
            raise ApiError("KMSInvalidStateException", f"{key.arn} is not pending deletion.")
        self._backend().cancel_key_deletion(key.id)
        return {"KeyId": key.arn}

    def _use(self, call: Call) -> dict[str, Any]:
        """What moto makes of it; DisabledException or KMSInvalidStateException unless the key is
        enabled.
        """
        if call.parameters.get("KeyId"):
            key = self._key(call)
            if code := STATES.get(key.key_state):
                raise ApiError(code, f"{key.arn} is {key.key_state}.")
        return call.moto()

    CreateGrant = Decrypt = Encrypt = GenerateDataKey = GenerateDataKeyWithoutPlaintext = _use
    GenerateMac = ReEncrypt = Sign = Verify = VerifyMac = _use

    def _turn(self, call: Call, state: str, *, enabled: bool) -> None:
        key = self._key(call)
        if key.key_state == "PendingDeletion":
            raise ApiError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        key.enabled, key.key_state = enabled, state

    def _key(self, call: Call) -> Any:
        key_id = self._backend().any_id_to_key_id(call.parameters["KeyId"])
        if key_id not in self._backend().keys:
            raise ApiError("NotFoundException", f"Key '{call.parameters['KeyId']}' does not exist")
        return self._backend().keys[key_id]

    def _backend(self) -> Any:
        return kms_backends[ACCOUNT][self.stand_in.region]

    def _check_policy(self, call: Call) -> None:
        text = call.parameters.get("Policy") or '{"Statement": []}'
        try:
            unknown = unknown_principals(self.stand_in.client("iam"), text)
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise ApiError(
                "MalformedPolicyDocumentException", f"The policy cannot be read: {error}."
            ) from error
        if unknown:
            text = "Policy contains a statement with one or more invalid principals."
            raise ApiError("MalformedPolicyDocumentException", text)
