"""Job: the frame that generated scripts put round their work; there are no bookmarks here."""

from __future__ import annotations

from typing import Any


class Job:
    """A job that keeps no state between its runs (job bookmarks are disabled, as is Glue's
    default).
    """

    def __init__(self, glue_context: Any) -> None:
        self.glue_context = glue_context

    def init(self, job_name: str, args: dict[str, str] | None = None) -> None:
        """Begin; raises NotImplementedError when bookmarks are asked for."""
        if (args or {}).get(
            "job_bookmark_option", "job-bookmark-disable"
        ) != "job-bookmark-disable":
            raise NotImplementedError(
                f"local_aws keeps no bookmarks; run {job_name} with --job-bookmark-option"
                " job-bookmark-disable."
            )

    def commit(self) -> None:
        """End: without bookmarks there is nothing to record."""
