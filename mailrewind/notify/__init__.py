"""Ways to tell the operators."""

from mailrewind.notify.apprise import Apprise
from mailrewind.notify.log import Log, Note
from mailrewind.notify.mail import Mail, MailServer
from mailrewind.notify.several import Several

__all__ = ["Apprise", "Log", "Mail", "MailServer", "Note", "Several"]
