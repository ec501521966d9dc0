"""Questions about IAM, STS, KMS and quotas."""

import json

from conformance.question import question, refusal

IAM = "https://docs.aws.amazon.com/IAM/latest/APIReference"


@question(False, f"{IAM}/API_ListRoles.html")
def list_roles_leaves_the_boundary_out(sandbox):
    """Does ListRoles answer a role's permissions boundary?"""
    boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    sandbox.role("bounded", PermissionsBoundary=boundary)
    pages = sandbox.client("iam").get_paginator("list_roles").paginate()
    listed = [each for page in pages for each in page["Roles"]]
    (found,) = [each for each in listed if each["RoleName"] == sandbox.name("bounded")]
    return "PermissionsBoundary" in found


@question("EntityAlreadyExists", f"{IAM}/API_CreateRole.html")
def a_role_is_made_once(sandbox):
    """With which code is a second role of one name refused?"""
    sandbox.role("twice")
    return refusal(
        sandbox.client("iam").create_role,
        RoleName=sandbox.name("twice"),
        AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}',
    )


@question("MalformedPolicyDocument", f"{IAM}/API_CreateRole.html")
def a_trust_policy_names_who_is_there(sandbox):
    """With which code does IAM refuse a trust policy that names a role which does not exist?"""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    nobody = f"arn:aws:iam::{sandbox.account}:role/{sandbox.name('nobody')}"
    document = {"Version": "2012-10-17", "Statement": [{**trust, "Principal": {"AWS": nobody}}]}
    sandbox.after(sandbox.client("iam").delete_role, RoleName=sandbox.name("trusting"))
    return refusal(
        sandbox.client("iam").create_role,
        RoleName=sandbox.name("trusting"),
        AssumeRolePolicyDocument=json.dumps(document),
    )


@question(["implicitDeny"], f"{IAM}/API_SimulatePrincipalPolicy.html")
def a_role_without_policies_is_denied_by_default(sandbox):
    """What does the simulation decide for a role that has no policy?"""
    arn = sandbox.role("simulated")
    found = sandbox.client("iam").simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["s3:ListAllMyBuckets"]
    )
    return [each["EvalDecision"] for each in found["EvaluationResults"]]


@question(
    "NoSuchResourceException",
    "https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html",
)
def a_quota_that_is_not_there_has_no_value(sandbox):
    """With which code does GetServiceQuota refuse a quota code that the service does not have?"""
    return refusal(
        sandbox.client("service-quotas").get_service_quota,
        ServiceCode="dms",
        QuotaCode="L-00000000",
    )
