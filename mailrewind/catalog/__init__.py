"""Which message was where, from when to when."""

from mailrewind.catalog.catalog import SqlCatalog

__all__ = ["SqlCatalog"]
