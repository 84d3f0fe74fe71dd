from pathlib import Path

import pytest

from mailrewind.errors import ArchivePathMissing
from mailrewind.services.archived_places import roots_in, settings_in

DOCKER = Path("/var/lib/docker/volumes")
VOLUMES = {
    "vmail-vol-1": DOCKER / "mailcowdockerized_vmail-vol-1/_data",
    "redis-vol-1": DOCKER / "mailcowdockerized_redis-vol-1/_data",
    "crypt-vol-1": Path("/srv/keys"),
}


def test_volumes_are_found_where_docker_and_the_project_had_other_names() -> None:
    paths = [
        "mnt/docker/volumes/cow_vmail-index-vol-1/_data/ada@example.org",
        "mnt/docker/volumes/cow_vmail-vol-1/_data",
        "mnt/docker/volumes/cow_vmail-vol-1/_data/example.org/ada/Maildir/.redis-vol-1/_data/x",
        "mnt/docker/volumes/redis-vol-1/_data/dump.rdb",
        "mnt/docker/volumes/cow_other-vol-1/_data/x",
        "srv/keys2/ecprivkey.pem",
    ]
    assert roots_in(paths, VOLUMES) == {
        "vmail-vol-1": "mnt/docker/volumes/cow_vmail-vol-1/_data",
        "redis-vol-1": "mnt/docker/volumes/redis-vol-1/_data",
    }


def test_what_was_mounted_from_elsewhere_is_found_in_the_same_place() -> None:
    assert roots_in(["srv/keys/ecprivkey.pem"], VOLUMES) == {"crypt-vol-1": "srv/keys"}


def test_the_settings_are_those_of_the_uppermost_directory() -> None:
    paths = ["opt/cow/data/conf/mailcow.conf", "opt/cow/mailcow.conf", "opt/cow/other.conf"]
    assert settings_in(paths, "a") == "opt/cow"
    with pytest.raises(ArchivePathMissing):
        settings_in(["opt/cow/other.conf"], "a")
