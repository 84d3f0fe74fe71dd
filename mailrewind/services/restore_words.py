"""What is said of a restore of messages: to those who are told, in the audit, in errors."""

from mailrewind.model.mail import Quota
from mailrewind.model.restores import RestorePlan, RestoreReport
from mailrewind.model.words import count, size


def quota_in_words(quota: Quota | None) -> str:
    """Say how much of a quota is used."""
    if quota is None:
        return "it has none"
    used = f"{size(quota.used_bytes)} in {count(quota.used_messages, 'message')} are used"
    limits = [
        f"{size(quota.limit_bytes)}" if quota.limit_bytes is not None else "",
        count(quota.limit_messages, "message") if quota.limit_messages is not None else "",
    ]
    return f"{used} of {' and '.join(filter(None, limits))}"


def failure_in_words(done: RestoreReport) -> str:
    """Say what is not back, with one of them by name."""
    meant, failed = len(done.plan.selection.additions), len(done.failed)
    return (
        f"{meant - failed:,} of {count(meant, 'message')} are back in {done.plan.request.mailbox} "
        f"as they were, {failed:,} {'is' if failed == 1 else 'are'} not, such as "
        f"{done.failed[0].subject}: {done.failed[0].text.rstrip('.')}. The report is {done.id}."
    )


def facts(plan: RestorePlan) -> str:
    """Say what a restore is about, for those who are told."""
    request = plan.request
    facts = (
        ("System", request.system),
        ("Mailbox", request.mailbox),
        ("From", plan.point),
        ("To add", count(len(plan.selection.additions), "message")),
        ("Reason", request.reason),
        ("By", request.initiator),
    )
    return "\n".join(f"{name}: {value}" for name, value in facts if value)


def summary(done: RestoreReport) -> str:
    """Say what was done, in numbers."""
    return (
        f"{done.id} from {done.plan.point}: {len(done.added)} added, {len(done.failed)} failed, "
        f"{done.plan.selection.present} present"
    )
