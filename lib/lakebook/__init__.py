"""Take an operational database into an AWS data lake and on to its reports: what the runbook's
notebooks import.
"""

from lakebook.account import connect
from lakebook.ensure import calls, check_converged, ensure, plan, wait
from lakebook.errors import CheckError, LakebookError
from lakebook.evidence import check, result, table
from lakebook.left_out import LeftOut
from lakebook.names import Names

__all__ = [
    "CheckError",
    "LakebookError",
    "LeftOut",
    "Names",
    "calls",
    "check",
    "check_converged",
    "connect",
    "ensure",
    "plan",
    "result",
    "table",
    "wait",
]
