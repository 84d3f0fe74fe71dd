"""Pages that a run leaves in Prefect."""

import logging

from prefect.artifacts import create_markdown_artifact

logger = logging.getLogger(__name__)


def publish(key: str, markdown: str, *, description: str) -> None:
    """Leave a page with the run; the deed is done and does not fail for want of its page.

    Args:
        key: Lower-case letters, digits and dashes; pages of one key are one another's history.
        markdown: Never with a subject, a body or a secret: Prefect's database is not ours.
        description: One line above the page.
    """
    try:
        create_markdown_artifact(markdown, key=key, description=description)
    except Exception as error:  # Prefect's client raises what httpx and the server make up
        logger.warning("the page %s could not be published: %s", key, error)
