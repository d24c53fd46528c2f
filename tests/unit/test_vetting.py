"""What a client must have on record, and until when that is good."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.domain.vetting import ClientCertificate, Lack, NotAdmittedError, RunningOut, Vetting, VettingRule

_NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
_RULE = VettingRule(demanded=True, penetration_test_days=365)


def certificate(days: float, letter: bytes = b"a") -> ClientCertificate:
    return ClientCertificate(letter * 32, "00000001234567890000", _NOW + timedelta(days=days))


def vetted(*certificates: ClientCertificate, tested_on: date | None = date(2026, 3, 1)) -> Vetting:
    return Vetting(certificates or (certificate(30),), date(2026, 1, 1), tested_on)


class TestVettingRule:
    def test_lets_in_who_has_everything(self) -> None:
        _RULE.require(vetted(), _NOW)

    def test_says_all_that_is_lacking_at_once(self) -> None:
        with pytest.raises(NotAdmittedError) as refused:
            _RULE.require(Vetting(), _NOW)
        assert str(refused.value) == (
            "This client is not admitted: no certificate is on record; no statement about its users' second "
            "factor is on record; no penetration test is on record."
        )
        assert refused.value.code == "UNAUTHENTICATED"

    def test_demands_nothing_where_that_is_not_set(self) -> None:
        VettingRule().require(Vetting(), _NOW)

    @pytest.mark.parametrize(
        ("vetting", "lacks"),
        [
            (vetted(certificate(0)), (Lack.CERTIFICATE_EXPIRED,)),
            (vetted(certificate(-1), certificate(1)), ()),
            (Vetting((certificate(1),), None, date(2026, 3, 1)), (Lack.NO_SECOND_FACTOR,)),
            (vetted(tested_on=None), (Lack.NO_PENETRATION_TEST,)),
            (vetted(tested_on=date(2025, 11, 25)), ()),
            (vetted(tested_on=date(2025, 11, 24)), (Lack.PENETRATION_TEST_TOO_OLD,)),
        ],
    )
    def test_knows_what_is_lacking(self, vetting: Vetting, lacks: tuple[Lack, ...]) -> None:
        assert _RULE.lacks(vetting, _NOW) == lacks

    def test_counts_days_as_they_are_in_amsterdam(self) -> None:
        vetting = vetted(tested_on=date(2025, 11, 25))
        before_midnight = datetime(2026, 11, 25, 22, 59, tzinfo=UTC)
        assert _RULE.lacks(vetting, before_midnight) == ()
        assert _RULE.lacks(vetting, before_midnight + timedelta(minutes=1)) == (
            Lack.PENETRATION_TEST_TOO_OLD,
        )

    def test_tells_what_runs_out_first(self) -> None:
        assert _RULE.fit_until(vetted(certificate(30))) == date(2026, 12, 25)
        assert _RULE.fit_until(vetted(certificate(300), certificate(30, b"b"))) == date(2027, 3, 1)
        assert _RULE.fit_until(vetted(tested_on=date(2020, 1, 1))) == date(2020, 12, 31)
        assert _RULE.fit_until(vetted(tested_on=None)) is None
        assert _RULE.fit_until(Vetting()) is None


class TestVetting:
    def test_takes_its_own_certificates_until_they_run_out(self) -> None:
        vetting = vetted(certificate(1, b"a"), certificate(-1, b"b"))
        assert [vetting.takes(letter * 32, _NOW) for letter in (b"a", b"b", b"c")] == [True, False, False]

    def test_takes_no_token_without_one_although_all_have_run_out(self) -> None:
        assert not vetted(certificate(-1)).takes(None, _NOW)

    def test_takes_no_certificate_that_it_does_not_have(self) -> None:
        assert Vetting().takes(None, _NOW)
        assert not Vetting().takes(b"a" * 32, _NOW)


class TestEnds:
    def test_tells_the_moment_from_which_each_is_no_longer_good(self) -> None:
        vetting = vetted(certificate(1), certificate(3, b"b"), tested_on=date(2025, 11, 25))
        ends = _RULE.ends(vetting)
        assert ends == {
            RunningOut.CERTIFICATE: _NOW + timedelta(days=3),
            RunningOut.PENETRATION_TEST: datetime(2026, 11, 25, 23, tzinfo=UTC),
        }
        for what, lack in (
            (RunningOut.CERTIFICATE, Lack.CERTIFICATE_EXPIRED),
            (RunningOut.PENETRATION_TEST, Lack.PENETRATION_TEST_TOO_OLD),
        ):
            assert lack not in _RULE.lacks(vetting, ends[what] - timedelta(microseconds=1))
            assert lack in _RULE.lacks(vetting, ends[what])
        assert _RULE.ends(Vetting()) == {}
