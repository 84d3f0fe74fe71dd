"""The `mailrewind` command."""

from mailrewind.cli.app import main

__all__ = ["main"]
