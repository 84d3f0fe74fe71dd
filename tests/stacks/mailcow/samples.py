"""Messages, events and contacts to put into the stack."""


def message(subject: str, *, sender: str = "grace@example.com", size: int = 0) -> bytes:
    """Return a message with LF line ends; padded to a size in bytes where one is given."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in subject)
    head = (
        f"From: Grace <{sender}>\nTo: office@example.org\nSubject: {subject}\n"
        f"Date: Thu, 12 Nov 2026 10:00:00 +0100\nMessage-ID: <{slug}@example.com>\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
    ).encode()
    body = f"About {subject}.\n".encode()
    line = b"The quick brown fox jumps over the lazy dog, again and again.\n"
    missing = size - len(head) - len(body)
    if missing > 0:
        body += (line * (missing // len(line) + 1))[: missing - 1] + b"\n"
    return head + body


def event(uid: str, summary: str, *, day: str = "20261112") -> str:
    """Return an hour in a calendar."""
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//mailrewind//tests//EN",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{day}T080000Z",
        f"DTSTART:{day}T120000Z",
        f"DTEND:{day}T130000Z",
        f"SUMMARY:{summary}",
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return "".join(f"{line}\r\n" for line in lines)


def contact(uid: str, name: str) -> str:
    """Return a person with an address."""
    first, _, last = name.partition(" ")
    address = f"{first}.{last}@example.com".lower()
    lines = (
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"UID:{uid}",
        f"FN:{name}",
        f"N:{last};{first};;;",
        f"EMAIL;TYPE=work:{address}",
        "END:VCARD",
    )
    return "".join(f"{line}\r\n" for line in lines)
