"""The keys of tests/pstructs/hash_golden.json, as Python expressions.

`cd tests && PYTHONPATH=. python support/hash_golden_keys.py > pstructs/hash_golden.json` writes
the file from the reference, never from the C code. The domain is frozen: a line may be added, none
may change.
"""

from __future__ import annotations

import datetime
import enum
import json
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

from support.hash_reference import reference_hash


class Colour(enum.Enum):
    """An Enum of the golden keys."""

    RED = 1
    GREEN = "g"


class Permission(enum.Flag):
    """A Flag of the golden keys."""

    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    """Members that equal ints."""

    LOW = 1


class Word(enum.StrEnum):
    """Members that equal strings."""

    YES = "yes"


# Golden values name the class, so its module must not depend on how this file is run.
for _cls in (Colour, Permission, Level, Word):
    _cls.__module__ = "golden"

EXPRESSIONS = """
0 1 -1 2 10 255 256 2**30 2**31-1 2**32 2**60 2**62 2**63-1 -2**63 2**63 -2**63-1 2**64-1 2**64
-2**64 10**20 10**40 -10**40 2**100 3**200 5**100 7*10**100 10**1300 10**5000 -3*10**5000 2**61-1
5**27 5**28 2**61 True False 0.0 -0.0 0.5 0.1 -0.1 1e22 1e23 1e300 -1e300 5e-324
2.2250738585072014e-308 1.7976931348623157e308 float('inf') -float('inf') float('nan') 1+0j 1+2j
0.5-0.25j complex('inf+1j') Decimal('0.1') Decimal('-0.10') Decimal('1e999999999')
Decimal('-7e-999999999') Decimal('12345678901234567890') Decimal('1.2345678901234567890123456789')
Decimal('0e50') Decimal('Infinity') Decimal('NaN') Fraction(1,3) Fraction(-10,3) Fraction(1,10)
Fraction(3**80,7**70) Fraction(2**80,3) '' 'a' 'ab' 'abc' 'abcd' 'abcde' 'abcdefg' 'abcdefgh'
'abcdefghi' 'abcdefghijklmno' 'abcdefghijklmnop' 'abcdefghijklmnopq' 'x'*32 'x'*33 'x'*48 'x'*49
'x'*64 'x'*96 'x'*97 'x'*1000 '\\x00' '\\x00\\x00' '\\xe9' '\\xff' '\\u0100' '\\u65e5\\u672c'
'\\ud800' '\\U0001f600' 'a\\U0001f600b' b'' b'a' b'abc' b'\\x00\\x01\\x02\\x03' b'abcdefgh'
b'x'*16 b'x'*17 bytes(range(256)) memoryview(b'abc') None ... () (1,) (1,2) ((),) (1,('a',None))
tuple(range(100)) frozenset() frozenset([1,2,3]) frozenset(['a','b',(1,2)]) frozenset(range(5000))
frozenset([frozenset()]) datetime.date(1,1,1) datetime.date(2024,2,29) datetime.date(9999,12,31)
datetime.datetime(1,1,1) datetime.datetime(2024,2,29,23,59,59,999999) datetime.datetime.max
datetime.datetime(2024,3,1,12,tzinfo=UTC) datetime.datetime(2024,3,1,12,tzinfo=EAST)
datetime.datetime(1,1,1,tzinfo=EAST) datetime.time(0) datetime.time(23,59,59,999999)
datetime.time(1,30,tzinfo=UTC) datetime.time(1,30,tzinfo=EAST) datetime.timedelta(0)
datetime.timedelta(-1,5,7) datetime.timedelta.max datetime.timedelta.min uuid.UUID(int=0)
uuid.UUID('12345678-1234-5678-1234-567812345678') Colour.RED Colour.GREEN Permission.READ
Permission.READ|Permission.WRITE Permission(0) Level.LOW Word.YES
""".split()

NAMESPACE: dict[str, Any] = {
    "datetime": datetime,
    "uuid": uuid,
    "Decimal": Decimal,
    "Fraction": Fraction,
    "UTC": datetime.UTC,
    "EAST": datetime.timezone(datetime.timedelta(hours=5, minutes=30)),
    "Colour": Colour,
    "Permission": Permission,
    "Level": Level,
    "Word": Word,
}


def evaluate(expression: str) -> Any:
    """Return the key that an expression stands for."""
    return eval(expression, NAMESPACE)


def main() -> None:
    """Write the golden file to standard output."""
    rows = []
    for expression in EXPRESSIONS:
        key = evaluate(expression)
        hashes = [f"{reference_hash(which, key):016x}" for which in (1, 2)]
        rows.append(f"{json.dumps(expression)}: {json.dumps(hashes)}")
    print('{"domain": 1, "hashes": {\n' + ",\n".join(rows) + "\n}}")


if __name__ == "__main__":
    main()
