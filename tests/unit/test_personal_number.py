"""Personal numbers and their pseudonyms, against the libraries that define them."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.nl import bsn, onderwijsnummer

from app.domain.personal_number import KeyChain, PersonalNumber
from app.services.keys import hmac_sha256

_KEYS = st.binary(min_size=32, max_size=32)


class TestDigits:
    @given(st.integers(0, 999_999_999))
    def test_are_those_of_a_bsn_or_an_onderwijsnummer(self, number):
        digits = f"{number:09d}"
        valid = bsn.is_valid(digits) or onderwijsnummer.is_valid(digits)
        assert PersonalNumber(digits).digits() == (digits if valid else None)

    @pytest.mark.parametrize("number", ["999990342", "123456782", "111222333", "101222331"])
    def test_are_found_in_the_published_test_numbers(self, number):
        assert PersonalNumber(number).digits() == number

    @pytest.mark.parametrize("raw", ["", "000000000", "1234", "1234567820", "12345678a", None, 123456782])
    def test_are_none_of_anything_else(self, raw):
        assert PersonalNumber(raw).digits() is None

    @given(st.text(st.sampled_from("0123456789+-_. \u0661\u00b2\uff11"), min_size=7, max_size=10))
    def test_are_ascii_digits_and_nothing_between_them(self, raw):
        digits = PersonalNumber(raw).digits()
        assert digits is None or (digits == raw.zfill(9) and raw.isascii() and raw.isdigit())

    def test_are_never_shown(self):
        assert "123456782" not in f"{PersonalNumber('123456782')} {PersonalNumber('123456782')!r}"


class TestKeyChain:
    @given(keys=st.lists(_KEYS, min_size=1, max_size=3), digest_key=_KEYS, content=st.text(max_size=50))
    def test_makes_the_hmac_of_each_version_of_the_one_before(self, keys, digest_key, content):
        chain = KeyChain(tuple(keys), digest_key, digest_key, digest_key, hmac_sha256)
        expected, value = [], b"123456782"
        for key in keys:
            value = hmac.digest(key, value, "sha256")
            expected.append(value)
        assert chain.pseudonyms("123456782") == tuple(expected)
        assert chain.pseudonyms("123456782") == tuple(expected), "what was begun with a key is not used up"
        assert chain.digest(content) == hmac.digest(
            digest_key, content.encode("utf-8", "surrogatepass"), "sha256"
        )
