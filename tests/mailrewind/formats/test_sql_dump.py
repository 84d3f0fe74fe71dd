import random
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.errors import DumpDamaged, FormatUnsupported
from mailrewind.formats.sql_dump import DumpCounter, DumpSummary, rows

# As mariadb-dump 10.11 writes it, shortened.
DUMP = rb"""/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.11.14-MariaDB, for debian-linux-gnu (x86_64)
--
/*!40101 SET NAMES utf8mb4 */;

--
-- Table structure for table `alias`
--

DROP TABLE IF EXISTS `alias`;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `alias` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `address` varchar(255) NOT NULL DEFAULT 'INSERT INTO `x` VALUES (1);' COMMENT 'it''s; (this),',
  `odd``name` longtext DEFAULT NULL,
  `secret` varbinary(16) DEFAULT NULL,
  `share` decimal(5,2) DEFAULT NULL,
  `bits` bit(3) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `address` (`address`(10))
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

--
-- Dumping data for table `alias`
--

LOCK TABLES `alias` WRITE;
INSERT INTO `alias` VALUES
(1,'a),(b','it\'s \"q\" \\',0x00FF,1.50,b'101'),
(2,'',NULL,'',-3.00,NULL),
(3,'line\r\nline\0\Z\t','100\% \_ \x',_binary 'a\0b',0.00,b'');
INSERT INTO `alias` VALUES (4,'@GREETING@',');',NULL,1e10,NULL),(-5,'x''y',NULL,'(',NULL,NULL);
UNLOCK TABLES;
CREATE TABLE `empty` (
  `id` int(11) NOT NULL
) ENGINE=InnoDB;
CREATE TABLE `made` (
  `a` int(11) DEFAULT NULL,
  `twice` int(11) GENERATED ALWAYS AS (`a` * 2) VIRTUAL,
  `b` varchar(3) DEFAULT NULL
) ENGINE=InnoDB;
INSERT INTO `made` (`a`, `b`) VALUES
(1,'x');
SET @saved_cs_client     = @@character_set_client;
/*!50001 CREATE VIEW `everything` AS SELECT
 1 AS `id`,
  1 AS `address` */;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER t AFTER INSERT ON alias
FOR EACH ROW BEGIN
INSERT INTO `log` VALUES (1),(2);
-- Dump completed
CREATE TABLE `inner` (
END */;;
DELIMITER ;
/*!50001 DROP VIEW IF EXISTS `everything`*/;

-- Dump completed
""".replace(b"@GREETING@", "Grüße 🎉".encode())
COLUMNS = ("id", "address", "odd`name", "secret", "share", "bits")
ALIASES = [
    (1, "a),(b", 'it\'s "q" \\', b"\x00\xff", Decimal("1.50"), 5),
    (2, "", None, b"", Decimal("-3.00"), None),
    (3, "line\r\nline\0\x1a\t", "100\\% \\_ x", b"a\0b", Decimal("0.00"), 0),
    (4, "Grüße 🎉", ");", None, Decimal("1e10"), None),
    (-5, "x'y", None, b"(", None, None),
]
VALUES = st.none() | st.integers() | st.text() | st.binary(min_size=1)


def count(*chunks: bytes) -> DumpSummary:
    counter = DumpCounter()
    for chunk in chunks:
        counter.feed(chunk)
    return counter.end()


def pieces(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def as_sql(value: object) -> bytes:
    if value is None:
        return b"NULL"
    if isinstance(value, bytes):
        return b"0x" + value.hex().upper().encode()
    if isinstance(value, int):
        return b"%d" % value
    escapes = {"\0": "\\0", "\n": "\\n", "\r": "\\r", "\\": "\\\\", "'": "\\'", '"': '\\"'}
    text = "".join({**escapes, "\x1a": "\\Z"}.get(character, character) for character in str(value))
    return b"'" + text.encode("utf-8", "surrogatepass") + b"'"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 1 << 20])
def test_rows_are_counted_in_pieces_of_any_size(size: int) -> None:
    assert count(*pieces(DUMP, size)) == DumpSummary({"alias": 5, "empty": 0, "made": 1}, True)


@pytest.mark.parametrize("size", [1, 13, 1 << 20])
def test_rows_read_as_they_were_in_the_table(size: int) -> None:
    read = list(rows(pieces(DUMP, size), {"alias"}))
    assert read == [("alias", COLUMNS, values) for values in ALIASES]


def test_columns_are_those_that_stand_before_the_values() -> None:
    assert list(rows([DUMP], ["made", "empty", "none such"])) == [("made", ("a", "b"), (1, "x"))]


def test_dump_that_was_cut_anywhere_is_not_complete() -> None:
    end = len(DUMP) - len(b"-- Dump completed\n")
    for length in range(0, end, 5):
        assert count(DUMP[:length]).is_complete is False
    assert count(DUMP[:-2]).is_complete is False
    assert count(DUMP[:-1]).is_complete is True


@pytest.mark.parametrize(
    "end",
    [
        b"ERROR 2013\n",
        b"INSERT INTO `alias` VALUES\n",
        b"CREATE TABLE `x` (\n",
        b"DELIMITER ;;\n",
        b"x",
    ],
)
def test_dump_that_goes_on_after_its_end_is_not_complete(end: bytes) -> None:
    assert count(DUMP, end).is_complete is False


def test_last_line_may_tell_the_date() -> None:
    dated = DUMP.replace(b"completed\n", b"completed on 2026-11-20 17:00:00\n")
    assert count(dated).is_complete is True


def test_rows_of_a_cut_dump_end_with_an_error() -> None:
    reading = rows([DUMP[:-30]], {"alias"})
    assert [values for _, _, values in (next(reading) for _ in ALIASES)] == ALIASES
    with pytest.raises(DumpDamaged):
        next(reading)


def test_tables_of_several_databases_are_told_apart() -> None:
    one = b"USE `%s`;\nCREATE TABLE `t` (\n  `a` int\n);\nINSERT INTO `t` VALUES (1),(2);\n"
    end = b"-- Dump completed\n"
    assert count(one % b"a", one % b"b", end).tables == {"a.t": 2, "b.t": 2}
    assert count(one % b"a", end).tables == {"t": 2}


@pytest.mark.parametrize(
    "statement",
    [
        b"INSERT INTO `t` VALUES\nSELECT 1;\n",
        b"INSERT INTO `t` VALUES (1,(2)),(3);\n",
        b"INSERT INTO `t` VALUES (1)(2);\n",
    ],
)
def test_rows_that_make_no_sense_are_damage(statement: bytes) -> None:
    with pytest.raises(DumpDamaged):
        count(statement)


@pytest.mark.parametrize(
    "row", [b"(1)", b"(1,2,3)", b"(1,x)", b"(1,'a'b)", b"(1,0xA)", b"(1,1_0)", b"(1,NaN)", b"(1,)"]
)
def test_row_that_does_not_fit_its_table_is_damage(row: bytes) -> None:
    structure = b"/*!40101 SET NAMES utf8mb4 */;\nCREATE TABLE `t` (\n  `a` int,\n  `b` int\n);\n"
    with pytest.raises(DumpDamaged):
        list(rows([structure, b"INSERT INTO `t` VALUES " + row + b";\n-- Dump completed\n"], "t"))


def test_text_in_other_charsets_is_refused() -> None:
    with pytest.raises(FormatUnsupported, match="latin1"):
        list(rows([DUMP.replace(b"SET NAMES utf8mb4", b"SET NAMES latin1")], {"alias"}))


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1), st.sampled_from([b",", b",\n"]))
def test_every_value_comes_back(values, separator) -> None:
    written = separator.join(b"(" + b",".join(map(as_sql, row)) + b")" for row in values)
    dump = b"/*!40101 SET NAMES utf8mb4 */;\nCREATE TABLE `t` (\n  `a` text,\n  `b` text\n);\n"
    dump += b"INSERT INTO `t` VALUES\n" + written + b";\n-- Dump completed\n"
    assert [row for _, _, row in rows(pieces(dump, 17), {"t"})] == values
    assert count(*pieces(dump, 11)) == DumpSummary({"t": len(values)}, True)


@given(st.binary(), st.integers(1, 50))
def test_no_content_is_too_strange(content: bytes, size: int) -> None:
    for begin in (b"", b"INSERT INTO `t` VALUES ", b"INSERT INTO `t` VALUES (1,'"):
        try:
            count(*pieces(begin + content, size))
        except DumpDamaged:
            continue


def test_counting_takes_in_fifty_megabytes_a_second() -> None:
    chance = random.Random(1)
    lines = [
        b"(%d,'user%d@example.org',NULL,'%s',1)" % (n, n % 50, chance.randbytes(40).hex().encode())
        for n in range(100_000)
    ]
    data = b"INSERT INTO `t` VALUES\n" + b",\n".join(lines) + b";\n-- Dump completed\n"
    chunks = pieces(data, 1 << 16)
    seconds = []
    for _ in range(3):  # other work on the machine takes from the processor's caches
        begin = time.process_time()
        assert count(*chunks) == DumpSummary({"t": 100_000}, True)
        seconds.append(time.process_time() - begin)
    assert len(data) / min(seconds) > 50_000_000


def test_long_row_is_not_read_again_for_each_piece_of_it() -> None:
    data = b"INSERT INTO `t` VALUES\n(1,'" + b"(\\'" * 8_000_000 + b"');\n-- Dump completed\n"
    begin = time.process_time()
    assert count(*pieces(data, 1 << 16)) == DumpSummary({"t": 1}, True)
    assert time.process_time() - begin < 8
