"""Bad input and attacks by HTTP, one row each: what is sent, and what has to be answered."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from tests.factories.live_hub import LISTEN, REPORT, a_message
from tests.factories.world import FOREIGN_BRIN, a_personal_number

# Every number that is sent; none may be found anywhere afterwards.
CANARIES: set[str] = set()
VIEWER = "{ viewer { role } }"
MEBIBYTE = 1 << 20
_JSON = "application/json"
_FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}


def canary() -> str:
    """Return a personal number that is looked for afterwards."""
    CANARIES.add(number := a_personal_number())
    return number


@dataclass(frozen=True)
class Attack:
    """One row. `data` is what an answer without errors holds; `codes` are those of its errors, in order."""

    name: str
    body: bytes
    status: int = 400
    codes: tuple[str, ...] = ("BAD_USER_INPUT",)
    data: dict[str, Any] | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    method: str = "POST"
    path: str = "/graphql"


def asking(query: str, variables: object = None, **members: object) -> bytes:
    """Return the body of a request."""
    return json.dumps({"query": query, "variables": variables, **members}).encode()


def reporting(**changed: object) -> bytes:
    """Return the body of a report of one message that is only judged."""
    message = a_message(**{"personalNumber": canary(), **changed})
    return asking(REPORT, {"input": {"messages": [message], "dryRun": True}})


def refused(code: str, field_: str | None = None) -> dict[str, Any]:
    """Return what the one message of a report gets."""
    result = {"outcome": "REFUSED", "code": code, "field": field_, "registration": None}
    return {"reportStatuses": {"results": [result]}}


def _bomb(size: int) -> str:
    doubling = " ".join(f"fragment f{i} on Query {{ ...f{i + 1} ...f{i + 1} }}" for i in range(size))
    return f"{{ ...f0 }} {doubling} fragment f{size} on Query {{ viewer {{ role }} }}"


def _with_value(raw: bytes) -> bytes:
    return b'{"query": "' + VIEWER.encode() + b'", "variables": {"a": ' + raw + b"}}"


_FORM = b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n' + asking(VIEWER) + b"\r\n--x--"
_PAGE = "query($first: Int!) { registrations(first: $first) { nodes { id } } }"
_AFTER = "query($after: String) { registrations(after: $after) { nodes { id } } }"
_BY_ID = "query($id: ID!) { registration(id: $id) { id } }"
_BY_APPLICATION = 'query($id: ID!) { registrationByApplicationId(brin: "25LH", applicationId: $id) { id } }'
_FOLLOW = 'mutation($n: PersonalNumber!) { followStudents(input: {students: [{personalNumber: $n, reference: "r"}]}) { feed { at } } }'  # noqa: E501 - one document
_FOLLOW_LITERAL = (
    'mutation { followStudents(input: {students: [{personalNumber: "%s", reference: "r"}]}) { feed { at } } }'
)
_HISTORIES = "{ registrations(first: 200) { nodes { statusHistory(first: 200) { nodes { status kind } } } } }"
_ROLE = {"viewer": {"role": "SIS"}}
_NUMBER = ("PERSONAL_NUMBER_INVALID",)
_NO_PAGE = {"registrations": None}
_LIMIT = ("LIMIT_EXCEEDED",)


def _malformed() -> list[Attack]:
    bodies = {
        "nothing": b"",
        "a number": b"5",
        "null": b"null",
        "a text": b'"x"',
        "a list": b"[]",
        "a batch": b"[" + asking(VIEWER) + b"," + asking(VIEWER) + b"]",
        "cut off": b'{"query": "{ viewer',
        "invalid UTF-8": b'{"query": "\xff\xfe"}',
        "UTF-16": json.dumps({"query": VIEWER}).encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + asking(VIEWER),
        "lists 100,000 deep": b"[" * 100_000,
        "objects 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "an integer of 5,000 digits": _with_value(b"9" * 5_000),
        "a float beyond all": _with_value(b"1e999"),
        "NaN": _with_value(b"NaN"),
        "Infinity": _with_value(b"-Infinity"),
        "a key twice": b'{"query": "' + VIEWER.encode() + b'", "query": "{ feed { at } }"}',
        "a key of a variable twice": _with_value(b'{"b": 1, "\\u0062": 2}'),
        "a lone surrogate": _with_value(b'"\\ud800"'),
        "NUL": _with_value(b'"a\\u0000b"'),
        "no query": b"{}",
        "a query that is a number": b'{"query": 5}',
        "variables that are a list": b'{"query": "' + VIEWER.encode() + b'", "variables": []}',
        "extensions that are a text": asking(VIEWER, extensions="x"),
    }
    return [Attack(name, body) for name, body in bodies.items()]


def _documents() -> list[Attack]:
    too_large = {
        "a fragment bomb of 30": _bomb(30),
        "a fragment bomb of 55": _bomb(55),
        "a depth of 9": "{ registrations" + " { nodes" * 8 + " { id" + " }" * 10,
        "16 aliases": "{" + " ".join(f"a{i}: viewer {{ role }}" for i in range(16)) + "}",
        "11 directives": "{ viewer { role " + "@skip(if: false) " * 11 + "} }",
        "3,000 duplicate fields": "{ viewer {" + " role" * 3_000 + "} }",
        "a comment of 900 KB": "#" * 900_000 + f"\n{VIEWER}",
        "a text of 900 KB": '{ registration(id: "' + "x" * 900_000 + '") { id } }',
        "100,000 brackets": "{" * 100_000,
        "what costs too much": _HISTORIES,
    }
    wrong = {
        "two operations and no name": "query A { viewer { role } } query B { feed { at } }",
        "a query and a mutation": f"query A {VIEWER} mutation B {{ unfollowStudents(input: {{references: []}}) {{ unknown }} }}",  # noqa: E501 - one document
        "fragments in a circle": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "a fragment that is not there": "{ ...A }",
        "no operation": "fragment A on Query { viewer { role } }",
        "a field that is not there": "{ viewr { role } }",
        "introspection": "{ __schema { description } }",
        "introspection of one type": '{ __type(name: "Query") { name } }',
        "a control character": "{ viewer { role } \x07 }",
        "a personal number in a document": _FOLLOW_LITERAL % canary(),
        "a personal number as a default": _FOLLOW.replace("!)", f'! = "{canary()}")'),
        "a personal number for an enum": f"{{ registrations(status: {canary()}) {{ nodes {{ id }} }} }}",
        "a personal number as a name": f"{{ n{canary()} }}",
    }
    return [
        *(Attack(name, asking(text), codes=_LIMIT) for name, text in too_large.items()),
        *(Attack(name, asking(text)) for name, text in wrong.items()),
        Attack("a name that no operation has", asking(f"query A {VIEWER}", operationName=f"N{canary()}")),
        Attack("a document that nobody registered", json.dumps({"documentId": "0" * 64}).encode()),
    ]


_ITEMS: list[tuple[str, dict[str, object], tuple[str, ...]]] = [
    ("a foreign BRIN", {"brin": FOREIGN_BRIN}, ("NO_MANDATE",)),
    ("a BRIN with SQL in it", {"brin": "'; --"}, ("FIELD_INVALID", "brin")),
    ("full-width digits", {"personalNumber": canary().translate(_FULL_WIDTH)}, _NUMBER),
    ("a number with spaces", {"personalNumber": f" {canary()}"}, _NUMBER),
    ("a number that is an integer", {"personalNumber": int(canary())}, _NUMBER),
    ("a number that is an object", {"personalNumber": {canary(): canary()}}, _NUMBER),
    ("a control character in an id", {"applicationId": "a\x01b"}, ("FIELD_INVALID", "applicationId")),
    ("an id of 10,000", {"applicationId": "a" * 10_000}, ("FIELD_INVALID", "applicationId")),
    ("a time far ahead", {"occurredAt": "9999-12-31T23:59:59Z"}, ("IN_THE_FUTURE",)),
]


def _values() -> list[Attack]:
    texts = ["' or '1'='1", "'; drop table registration; --", "%", "_", "\\", "é" * 30, "x" * 500]
    # Names are the same in every process, and show no number.
    unseen = {"with a number": canary(), **{repr(text[:12]): text for text in texts}}
    return [
        *(
            Attack(f"a page of {n}", asking(_PAGE, {"first": n}), 200, data=_NO_PAGE)
            for n in (-1, 0, 201, 10**9)
        ),
        *(
            Attack(f"the cursor {cursor[:12]!r}", asking(_AFTER, {"after": cursor}), 200, data=_NO_PAGE)
            for cursor in ("", "x", "é", "AAAA", "' or 1=1 --", "A" * 10_000)
        ),
        *(
            Attack(f"the id {name}", asking(_BY_ID, {"id": text}), 200, (), {"registration": None})
            for name, text in unseen.items()
        ),
        *(
            Attack(
                f"the application id {name}",
                asking(_BY_APPLICATION, {"id": text}),
                200,
                (),
                {"registrationByApplicationId": None},
            )
            for name, text in unseen.items()
        ),
        *(Attack(name, reporting(**changed), 200, (), refused(*why)) for name, changed, why in _ITEMS),
        Attack("an unknown status", reporting(status=canary())),
        Attack("an unknown field", reporting(**{f"n{canary()}": canary()})),
        Attack("a missing number", reporting(personalNumber=...)),
        Attack("a year beyond 32 bits", reporting(schoolYear=2**31)),
        Attack("a page beyond 32 bits", asking(_PAGE, {"first": 2**31})),
        Attack("half a page", asking(_PAGE, {"first": 1.5})),
        Attack("a batch of none", asking(REPORT, {"input": {"messages": []}}), 200),
        Attack("a right that the role has not", asking(_FOLLOW, {"n": canary()}), 200, ("FORBIDDEN",)),
    ]


def _requests() -> list[Attack]:
    ask = asking(VIEWER)
    mutation = b"query=mutation+%7B+unfollowStudents(input:+%7Breferences:+[]%7D)+%7B+unknown+%7D+%7D"
    not_allowed = ("OPERATION_NOT_ALLOWED",)
    spoofed: dict[str, str | None] = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=127.0.0.1;host=evil.example",
        "Client-Cert": ":AAAA:",
        "X-Real-IP": "127.0.0.1",
    }
    return [
        Attack("plain text", ask, 415, headers={"Content-Type": "text/plain"}),
        Attack("a form", mutation, 415, headers={"Content-Type": "application/x-www-form-urlencoded"}),
        Attack("a multipart form", _FORM, 415, headers={"Content-Type": "multipart/form-data; boundary=x"}),
        Attack("a document as such", VIEWER.encode(), 415, headers={"Content-Type": "application/graphql"}),
        Attack("no content type", ask, 415, headers={"Content-Type": None}),
        Attack("another charset", ask, 415, headers={"Content-Type": f"{_JSON}; charset=utf-16"}),
        Attack(
            "a gzip bomb", gzip.compress(bytes(100 * MEBIBYTE)), 415, headers={"Content-Encoding": "gzip"}
        ),
        Attack("an unknown encoding", ask, 415, headers={"Content-Encoding": "br"}),
        Attack("two mebibytes", b" " * 2 * MEBIBYTE + ask, 413, _LIMIT),
        Attack("an answer in XML", ask, 406, headers={"Accept": "application/xml"}),
        Attack("GET", b"", 405, not_allowed, method="GET", path=f"/graphql?query=%7B+n{canary()}+%7D"),
        Attack("PUT", ask, 405, not_allowed, method="PUT"),
        Attack("DELETE", b"", 405, not_allowed, method="DELETE"),
        Attack("a subscription by plain POST", asking(LISTEN), 400, not_allowed),
        Attack("a foreign origin", ask, 403, ("FORBIDDEN",), headers={"Origin": "https://evil.example"}),
        Attack("a null origin", ask, 403, ("FORBIDDEN",), headers={"Origin": "null"}),
        Attack(
            "an origin that a proxy would confirm",
            ask,
            403,
            ("FORBIDDEN",),
            headers={**spoofed, "Origin": "https://evil.example"},
        ),
        Attack("spoofed headers of a proxy", ask, 200, (), _ROLE, headers=spoofed),
        Attack(
            "spoofed headers and no token",
            ask,
            401,
            ("UNAUTHENTICATED",),
            headers={**spoofed, "Authorization": None},
        ),
        Attack("no token", ask, 401, ("UNAUTHENTICATED",), headers={"Authorization": None}),
        Attack(
            "a token that is a number",
            ask,
            401,
            ("UNAUTHENTICATED",),
            headers={"Authorization": f"Bearer {canary()}"},
        ),
        Attack(
            "a number in a header", ask, 200, (), _ROLE, headers={"X-Number": canary(), "Cookie": canary()}
        ),
        Attack("a number in an extension", asking(VIEWER, extensions={"n": canary()}), 200, (), _ROLE),
        Attack("a number in an unknown variable", asking(VIEWER, {"n": canary()}), 200, (), _ROLE),
        Attack("a number in a path", b"", 404, (), path=f"/{canary()}", method="GET"),
    ]


ATTACKS = [*_malformed(), *_documents(), *_values(), *_requests()]
