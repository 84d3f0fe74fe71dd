"""Exchange two directories in one step, so that nobody ever finds neither of them."""

import ctypes
import errno
import os

_EXCHANGE = 2
_NOT_KNOWN_HERE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_TRIES = 5

_libc = ctypes.CDLL(None, use_errno=True)


def exchange(parent: int, name: str, other_parent: int, other_name: str) -> None:
    """Give each of two directories of one file system the other's place.

    Where the file system cannot do that at once (NFS), it takes three renames, and what somebody
    makes under the first name in between stays beside the second.

    Args:
        parent: Descriptor of the directory that holds the first.
        name: Its name there.
        other_parent: Of the one that holds the second.
        other_name: Its name there.

    Raises:
        OSError: One is missing, or they lie on two file systems.
    """
    done = _libc.renameat2(
        parent, os.fsencode(name), other_parent, os.fsencode(other_name), _EXCHANGE
    )
    if done == 0:
        return
    number = ctypes.get_errno()
    if number not in _NOT_KNOWN_HERE:
        raise OSError(number, os.strerror(number), name)
    _exchange_slowly(parent, name, other_parent, other_name)


def _exchange_slowly(parent: int, name: str, other_parent: int, other_name: str) -> None:
    aside = f"{other_name}.exchanged"
    os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=other_parent)
    for attempt in range(_TRIES):
        try:
            os.rename(other_name, name, src_dir_fd=other_parent, dst_dir_fd=parent)
            break
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST} or attempt == _TRIES - 1:
                os.rename(aside, name, src_dir_fd=other_parent, dst_dir_fd=parent)
                raise
            # Delivered to in that moment: it stays beside the others, for nobody to lose.
            between = f"{other_name}.between{attempt}"
            os.rename(name, between, src_dir_fd=parent, dst_dir_fd=other_parent)
    os.rename(aside, other_name, src_dir_fd=other_parent, dst_dir_fd=other_parent)
