"""Lets `python -m mailrewind.cli` stand for the command."""

from mailrewind.cli import main

main()
