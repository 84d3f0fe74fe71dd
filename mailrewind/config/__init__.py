"""mailrewind.yaml as frozen, validated models; an error names file, line, key and expectation."""

from mailrewind.config.loading import find, load, schema
from mailrewind.config.models import (
    Config,
    DoveadmSettings,
    MailcowKeys,
    MaildirKeys,
    MailSettings,
    Notify,
    PrefectSettings,
    Repository,
    Retention,
    System,
)
from mailrewind.config.secrets import SecretRef

__all__ = [
    "Config",
    "DoveadmSettings",
    "MailSettings",
    "MailcowKeys",
    "MaildirKeys",
    "Notify",
    "PrefectSettings",
    "Repository",
    "Retention",
    "SecretRef",
    "System",
    "find",
    "load",
    "schema",
]
