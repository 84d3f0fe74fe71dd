"""What runs leave behind for the operator to read, as Markdown.

Numbers, names of folders and mailboxes, moments: never a subject or a body, because Prefect keeps
these pages in its own database, behind one password for everybody.
"""

from tasks.pages.backup import backup_page
from tasks.pages.export import export_page
from tasks.pages.operation import operation_page, operation_plan_page
from tasks.pages.plan import plan_page
from tasks.pages.points import points_page
from tasks.pages.restore import restore_page

__all__ = [
    "backup_page",
    "export_page",
    "operation_page",
    "operation_plan_page",
    "plan_page",
    "points_page",
    "restore_page",
]
