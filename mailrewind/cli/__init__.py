"""The `mailrewind` command."""
