"""The errors a person must act on: each message is one sentence that says what is wrong and what to
do.
"""

import re

# How AWS answers when a session's credentials have expired:
# https://github.com/aws/aws-sdk-go/blob/main/aws/request/retryer.go (credsExpiredCodes);
# the answer to HEAD has no body, and its status is all there is
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
EXPIRED = re.compile(
    r"\b(ExpiredToken|ExpiredTokenException|RequestExpired)\b|\(400\) when calling the Head"
)


class LakebookError(Exception):
    """Something is not as the runbook needs it."""


class ParametersError(LakebookError):
    """The parameters cannot be used; nothing was started."""


class CheckError(LakebookError):
    """A check measured something else than it expected."""
