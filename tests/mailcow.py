"""A running mailcow for the tests of a file; list it in ``pytest_plugins`` or import the fixture.

``pytest_plugins = ["tests.mailcow"]`` in a test file is enough. Tests that break the stack for good
make one of their own with ``MailcowStack()``.
"""

from collections.abc import Iterator

import pytest

from tests.stacks.mailcow.stack import MailcowStack

ADA = "ada@example.org"
JOHN_DOE = "john.doe@example.org"
JOHNDOE = "johndoe@example.org"


@pytest.fixture(scope="module")
def mailcow() -> Iterator[MailcowStack]:
    """A mailcow with three mailboxes, two of which mailcow's garbage can't tell apart."""
    with MailcowStack() as stack:
        for address in (ADA, JOHN_DOE, JOHNDOE):
            stack.add_mailbox(address)
        yield stack
