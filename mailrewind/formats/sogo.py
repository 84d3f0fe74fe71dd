"""The file that ``sogo-tool backup`` writes of a user, and ``sogo-tool restore`` reads.

A property list (see ``property_lists``) with the keys "ldif_record", "preferences" and "tables"; a
table is named "/Users/<user>/Calendar/personal" and has "acl", "displayname" and "records", each of
those with "c_name" and "c_content" (SOGo's ``SOGoToolBackup.m``). What ``sogo-tool restore`` makes
of it (``SOGoToolRestore.m``, and tried out on SOGo 5.8):

* the folders that it writes to are the ones that the file names, whichever user it is called for;
* ``-f`` adds the records whose names the folder lacks, and replaces its name and its shares;
* ``-F`` drops the folder first; folders that the file does not name stay in either case;
* records that were deleted are not exported, although SOGo keeps a row of each for a while, and
  their names count as absent, so ``-f`` brings them back.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from mailrewind.errors import ExportDamaged
from mailrewind.formats.property_lists import Opaque, PropertyListReader, quoted

Others = tuple[tuple[str, Opaque], ...]

_NOTHING = Opaque('""')


@dataclass(frozen=True, slots=True)
class SogoRecord:
    """An event, a task, a contact or a list.

    Attributes:
        name: What SOGo calls it: unique in its folder, and kept when it is edited.
        content: iCalendar or vCard text.
        others: What else the export says of it, by key.
    """

    name: str
    content: str
    others: Others = ()


@dataclass(frozen=True, slots=True)
class SogoFolder:
    """A calendar or an address book.

    Attributes:
        path: Such as "Calendar/personal" or "Contacts/work".
        display_name: What its owner calls it.
        acl: Whom it is shared with, and how.
        records: All that lies in it.
        others: What else the export says of it, by key.
    """

    path: str
    display_name: str
    acl: Opaque
    records: tuple[SogoRecord, ...]
    others: Others = ()


@dataclass(frozen=True, slots=True)
class SogoExport:
    """All calendars and address books of a user.

    Attributes:
        uid: Whose; "" when there is not a single folder, for only their names tell.
        ldif_record: The user's row among SOGo's users, with the hash of the password, or None.
        preferences: Defaults and settings, or None.
        folders: In the order of the file.
        others: What else the export says of the user, by key.
    """

    uid: str
    ldif_record: Opaque | None
    preferences: Opaque | None
    folders: tuple[SogoFolder, ...]
    others: Others = ()


@dataclass(frozen=True, slots=True)
class FolderDifference:
    """How a folder has changed since an export.

    Attributes:
        path: Which folder.
        is_gone: Whether the folder does not exist any more.
        missing: What a merge would add: records that are gone.
        changed: (then, now) of records whose content differs; a merge leaves them alone, a reset
            brings back the first.
        newer: Records that came later; a reset would lose them.
    """

    path: str
    is_gone: bool
    missing: tuple[SogoRecord, ...]
    changed: tuple[tuple[SogoRecord, SogoRecord], ...]
    newer: tuple[SogoRecord, ...]


def read_export(text: bytes) -> SogoExport:
    """Read a user's export.

    Raises:
        ExportDamaged: It is empty, cut off or no export, it has more after its end, or it names
            folders of more than one user.
    """
    try:
        reader = PropertyListReader(text.decode())
        export = _read_user(reader)
        reader.end()
    except ValueError as error:
        raise ExportDamaged(f"the export of a user's calendars cannot be read: {error}") from error
    return export


def write_export(export: SogoExport) -> bytes:
    """Write an export as ``sogo-tool restore`` accepts it."""
    tables = {f"/Users/{export.uid}/{folder.path}": _folder(folder) for folder in export.folders}
    entries = {"ldif_record": export.ldif_record, "preferences": export.preferences}
    present = {key: value for key, value in entries.items() if value is not None}
    return _dictionary({**present, "tables": _dictionary(tables), **dict(export.others)}).encode()


def with_user(export: SogoExport, uid: str) -> SogoExport:
    """Return an export for another user, without the row that tells of the first one's password."""
    return replace(export, uid=uid, ldif_record=_NOTHING)


def with_living_shares(export: SogoExport, living: SogoExport) -> SogoExport:
    """Return an export whose folders have the shares and display names that they have now.

    ``sogo-tool restore`` replaces both even where it only adds records. A folder that lives no more
    keeps what it had.
    """
    now = {folder.path: folder for folder in living.folders}
    return replace(
        export,
        folders=tuple(
            replace(folder, display_name=there.display_name, acl=there.acl)
            if (there := now.get(folder.path))
            else folder
            for folder in export.folders
        ),
    )


def without_preferences(export: SogoExport) -> SogoExport:
    """Return an export without preferences."""
    return replace(export, preferences=None)


def only(
    export: SogoExport,
    *,
    folders: Collection[str] | None = None,
    records: Collection[tuple[str, str]] | None = None,
) -> SogoExport:
    """Return an export with a part of its folders, or of its records.

    Args:
        export: The whole.
        folders: Paths of the folders that stay; all, if not given.
        records: (path of the folder, name) of the records that stay; all, if not given. Folders
            that none of them lies in go.
    """
    chosen = [f for f in export.folders if folders is None or f.path in folders]
    if records is not None:
        reduced = [_only_records(folder, records) for folder in chosen]
        chosen = [folder for folder in reduced if folder.records]
    return replace(export, folders=tuple(chosen))


def difference(then: SogoExport, living: SogoExport) -> tuple[FolderDifference, ...]:
    """Compare the folders of an export with what they hold now.

    Folders that were made later are left out: neither a merge nor a reset touches them.
    """
    now = {folder.path: folder for folder in living.folders}
    return tuple(_compare(folder, now.get(folder.path)) for folder in then.folders)


def _compare(then: SogoFolder, now: SogoFolder | None) -> FolderDifference:
    before = {record.name: record for record in then.records}
    after = {record.name: record for record in (now.records if now else ())}
    return FolderDifference(
        path=then.path,
        is_gone=now is None,
        missing=tuple(record for name, record in before.items() if name not in after),
        changed=tuple(
            (record, after[name])
            for name, record in before.items()
            if name in after and after[name].content != record.content
        ),
        newer=tuple(record for name, record in after.items() if name not in before),
    )


def _only_records(folder: SogoFolder, records: Collection[tuple[str, str]]) -> SogoFolder:
    kept = tuple(record for record in folder.records if (folder.path, record.name) in records)
    return replace(folder, records=kept)


def _read_user(reader: PropertyListReader) -> SogoExport:
    values: dict[str, Opaque] = {}
    folders: tuple[tuple[str, SogoFolder], ...] | None = None
    for key in _once(reader.entries()):
        if key == "tables":
            folders = tuple(_read_folder(reader, name) for name in _once(reader.entries()))
        else:
            values[key] = reader.opaque()
    if folders is None:
        raise ValueError("it has no tables")
    users = {user for user, _ in folders}
    if len(users) > 1:
        raise ValueError("it names folders of more than one user")
    return SogoExport(
        uid=users.pop() if users else "",
        ldif_record=values.pop("ldif_record", None),
        preferences=values.pop("preferences", None),
        folders=tuple(folder for _, folder in folders),
        others=tuple(values.items()),
    )


def _read_folder(reader: PropertyListReader, name: str) -> tuple[str, SogoFolder]:
    root, users, user, *path = name.split("/")
    if (root, users) != ("", "Users") or not user or len(path) < 2:
        raise ValueError("a table's name is not that of a user's folder")
    values: dict[str, Opaque] = {}
    display_name, records = None, None
    for key in _once(reader.entries()):
        if key == "displayname":
            display_name = reader.string()
        elif key == "records":
            records = tuple(_read_record(reader) for _ in reader.items())
        else:
            values[key] = reader.opaque()
    acl = values.pop("acl", None)
    if display_name is None or records is None or acl is None:
        raise ValueError("a table lacks its name, its shares or its records")
    return user, SogoFolder("/".join(path), display_name, acl, records, tuple(values.items()))


def _read_record(reader: PropertyListReader) -> SogoRecord:
    values: dict[str, Opaque] = {}
    name, content = None, None
    for key in _once(reader.entries()):
        if key == "c_name":
            name = reader.string()
        elif key == "c_content":
            content = reader.string()
        else:
            values[key] = reader.opaque()
    if name is None or content is None:
        raise ValueError("a record lacks its name or its content")
    return SogoRecord(name, content, tuple(values.items()))


def _once(keys: Iterator[str]) -> Iterator[str]:
    met = set()
    for key in keys:
        if key in met:
            raise ValueError("a key comes twice")
        met.add(key)
        yield key


def _folder(folder: SogoFolder) -> Opaque:
    records = ",\n".join(map(_record, folder.records))
    return _dictionary(
        {
            "acl": folder.acl,
            "displayname": quoted(folder.display_name),
            "records": Opaque(f"(\n{records}\n)"),
            **dict(folder.others),
        }
    )


def _record(record: SogoRecord) -> Opaque:
    known = {"c_content": quoted(record.content), "c_name": quoted(record.name)}
    return _dictionary({**known, **dict(record.others)})


def _dictionary(entries: dict[str, Opaque]) -> Opaque:
    lines = "".join(f"{quoted(key)} = {value};\n" for key, value in entries.items())
    return Opaque(f"{{\n{lines}}}")
