"""The errors a person must act on: each message is one sentence that says what is wrong and what to
do.
"""


class LakebookError(Exception):
    """Something is not as the runbook needs it."""


class ParametersError(LakebookError):
    """The parameters cannot be used; nothing was started."""


class CheckError(LakebookError):
    """A check measured something else than it expected."""
