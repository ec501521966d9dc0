"""Amazon QuickSight (now Amazon Quick): data sources that connect, data sets that hold rows,
dashboards that open in a browser.
"""

from __future__ import annotations

from local_aws.quicksight.page import Pages


class QuickSight(Pages):
    """All of QuickSight that is here; templates, analyses, themes, folders, topics and schedules
    are refused.
    """
