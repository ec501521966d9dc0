"""Roles that services of AWS take."""

import json
from contextlib import suppress

import boto3


def trust(principal):
    statement = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(name, principal, allowed=()):
    """The ARN of a role for a service that may do the `allowed` actions to everything."""
    iam = boto3.client("iam")
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(principal))
    if allowed:
        statement = {"Effect": "Allow", "Action": list(allowed), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=document)
    return iam.get_role(RoleName=name)["Role"]["Arn"]
