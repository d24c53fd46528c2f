"""What passes the guard in front of bodies and frames, and what does not."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transport.guard import MalformedError, OversizedError, read_object

LIMIT = 1_048_576

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab":\\ ', max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


def read(raw: bytes) -> dict[str, object]:
    return read_object(raw, max_bytes=LIMIT)


class TestReadObject:
    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"5", id="number"),
            pytest.param(b"null", id="null"),
            pytest.param(b'"x"', id="text"),
            pytest.param(b"[]", id="list"),
            pytest.param(b'[{"query":"{a}"}]', id="batch"),
            pytest.param(b"{", id="cut off"),
            pytest.param(b"{} {}", id="two"),
            pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
            pytest.param(b'{"a":"\xff"}', id="no UTF-8"),
            pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate in UTF-8"),
            pytest.param(b'{"a":"\\ud800"}', id="lone leading surrogate"),
            pytest.param(b'{"a":"\\udc00"}', id="lone trailing surrogate"),
            pytest.param(b'{"a":"x\\u0000y"}', id="NUL"),
            pytest.param(b'{"\\u0000":1}', id="NUL in a key"),
            pytest.param(b'{"a":["\\\\\\u0000"]}', id="NUL after a backslash"),
            pytest.param(b'{"a":"\x00"}', id="raw NUL"),
            pytest.param(b'{"a":NaN}', id="NaN"),
            pytest.param(b'{"a":-Infinity}', id="Infinity"),
            pytest.param(b'{"a":1e999}', id="beyond a double"),
            pytest.param(b'{"a":[1e300]}', id="a large double"),
            pytest.param(b'{"a":18446744073709551616}', id="beyond 64 bits"),
            pytest.param(b'{"a":-9223372036854775809}', id="below 64 bits"),
            pytest.param(b'{"a":' + b"9" * 5_000 + b"}", id="5,000 digits"),
            pytest.param(b'{"a":1,"a":1}', id="key twice"),
            pytest.param(b'{"a":1,"a" :1}', id="key twice, once with space"),
            pytest.param(b'{"a":1,"a"\n\t:1}', id="key twice, once with a new line"),
            pytest.param(b'{"a":1,"\\u0061":1}', id="key twice, once escaped"),
            pytest.param(b'{"b":{"a":1,"a":1},"c":"\\":"}', id="key twice, hidden by text"),
            pytest.param(b"[" * 100_000, id="100,000 deep"),
            pytest.param(b'{"a":' * 20 + b"{}" + b"}" * 20, id="21 deep"),
        ],
    )
    def test_refuses(self, raw: bytes) -> None:
        with pytest.raises(MalformedError) as refusal:
            read(raw)
        assert refusal.value.code == "BAD_USER_INPUT"

    def test_refuses_what_is_too_large(self) -> None:
        with pytest.raises(OversizedError):
            read_object(b'{"a":1}', max_bytes=6)

    @pytest.mark.parametrize(
        "raw",
        [
            b"{}",
            b' {"a" : 1 , "b" :\n[1.5, -2e3, true, null] } ',
            b'{"a":"\\\\u0000"}',
            b'{"a":"\\ud83d\\ude00"}',
            b'{"a":9223372036854775807}',
            b'{"query":"{ a(b: {c: \\"x\\"}) }"}',
            b'{"a":" :\\":"}',
            b'{"a":' * 19 + b"{}" + b"}" * 19,
        ],
    )
    def test_returns_the_object(self, raw: bytes) -> None:
        assert read(raw) == orjson.loads(raw)

    @given(st.dictionaries(st.text(max_size=3), VALUES, max_size=5))
    def test_returns_any_plain_object(self, value: dict[str, object]) -> None:
        raw = orjson.dumps(value)
        if b"\\u0000" in raw:
            return
        assert read(raw) == value

    @given(VALUES, st.sampled_from([b"", b" ", b"\n"]), VALUES)
    def test_finds_any_key_that_stands_twice(self, first: object, space: bytes, second: object) -> None:
        member = b'{"k":%b,"z":{"k"%b:%b,"k":1}}' % (orjson.dumps(first), space, orjson.dumps(second))
        with pytest.raises(MalformedError):
            read(member)
