"""Who has an access key: IAM users, sessions of roles, AWS's services, and nobody."""

from __future__ import annotations

import datetime
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends

from local_aws.errors import ApiError
from local_aws.names import ACCOUNT
from local_aws.principal import ENGINE, INTERNAL_ACCESS_KEY, NOBODY, Principal

if TYPE_CHECKING:
    from collections.abc import Callable


class ExpiredSessionError(Exception):
    """The session of an access key is over."""


class Principals:
    """The sessions of one stand-in; users and roles are moto's."""

    def __init__(self) -> None:
        self._sessions: dict[str, Principal] = {}
        self._lock = threading.Lock()

    def of(self, access_key: str) -> Principal | None:
        """Who has this access key: None when nobody has; raises ExpiredSessionError."""
        if access_key == INTERNAL_ACCESS_KEY:
            return ENGINE
        if not access_key:
            return NOBODY
        if session := self._sessions.get(access_key):
            if session.expires and session.expires < datetime.datetime.now(datetime.UTC):
                raise ExpiredSessionError
            return session if not session.role_arn or _is_there(session) else None
        return _user(access_key)

    def add(self, session: Principal) -> Principal:
        """Keep a session under its access key."""
        with self._lock:
            self._sessions[session.access_key] = session
        return session

    def service_session(
        self, role_arn: str, service_principal: str, assumed: Callable[[Principal, str], None]
    ) -> Principal:
        """The session in which a service acts as a role, always the same one; whether it may is not
        asked here.

        `assumed(session, service_principal)` is told of a new one.
        """
        name = service_principal.partition(".")[0]
        key = f"LOCALAWS{abs(hash((role_arn, service_principal))):x}".upper()
        session = self._sessions.get(key)
        if session is None or session.id.partition(":")[0] != role(role_arn).id:
            started = datetime.datetime.now(datetime.UTC)
            session = self.add(
                role_session(role_arn, name, key, started=started, account=role_arn.split(":")[4])
            )
            assumed(session, service_principal)
        return session

    def on_behalf(self, principal: Principal, service_principal: str) -> Principal:
        """The same principal as a service makes calls for it (forward access)."""
        if principal is ENGINE:
            return principal
        service = service_principal.partition(".")[0].upper().replace("-", "")
        key = f"{principal.access_key}VIA{service}"
        called_via = (*principal.called_via, service_principal)
        return self.add(replace(principal, access_key=key, called_via=called_via))


def role(arn: str) -> Any:
    """Moto's record of a role, `.arn`, `.id`, `.assume_role_policy_document`; raises ApiError
    NoSuchEntity.
    """
    account, name = arn.split(":")[4] if arn.count(":") >= 5 else ACCOUNT, arn.rpartition("/")[2]
    found = next(
        (each for each in list(iam_backends[account]["aws"].roles.values()) if each.name == name),
        None,
    )
    if found is None:
        raise ApiError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
    return found


def exists(kind: str, name: str) -> bool:
    """Whether the account has a `user` or a `role` of this name; what is neither is there."""
    iam = iam_backends[ACCOUNT]["aws"]
    if kind == "role":
        return any(each.name == name for each in list(iam.roles.values()))
    return name in iam.users if kind == "user" else True


def role_session(
    role_arn: str, session_name: str, access_key: str, *, account: str, **more: Any
) -> Principal:
    """A session of a role that exists."""
    found = role(role_arn)
    arn = f"arn:aws:sts::{account}:assumed-role/{found.name}/{session_name}"
    return Principal(
        "AssumedRole",
        arn,
        account,
        f"{found.id}:{session_name}",
        access_key,
        role_arn=found.arn,
        session_name=session_name,
        **more,
    )


def add_user_key(user_name: str, access_key: str, secret: str, policy_arn: str) -> None:
    """An IAM user with this access key and policy, unless it is there."""
    iam = iam_backends[ACCOUNT]["aws"]
    if user_name not in iam.users:
        iam.create_user("us-east-1", user_name)
        iam.attach_user_policy(policy_arn, user_name)
    if access_key not in iam.access_keys:
        made = iam.create_access_key(user_name=user_name)
        del iam.access_keys[made.access_key_id]
        made.access_key_id, made.secret_access_key = access_key, secret
        iam.access_keys[access_key] = made


def _is_there(session: Principal) -> bool:
    """Whether the role of a session is still there; a new role of the same name is another one."""
    try:
        return str(role(session.role_arn).id) == session.id.partition(":")[0]
    except ApiError:
        return False


def _user(access_key: str) -> Principal | None:
    for account, backends in list(iam_backends.items()):
        key = backends["aws"].access_keys.get(access_key) if "aws" in backends else None
        if key and key.user_name and key.status == "Active":
            user = backends["aws"].users[key.user_name]
            return Principal("IAMUser", user.arn, account, user.id, access_key, user_name=user.name)
    return None
