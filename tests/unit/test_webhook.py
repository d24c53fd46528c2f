"""The rules of webhooks: addresses, backoff, events, signatures, secrets."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from app.domain.errors import BadUserInputError
from app.domain.internet import is_public
from app.domain.webhook import (
    Notification,
    Record,
    WebhookAddress,
    WebhookProblem,
    WebhookState,
    retry_after,
    shown,
    signature_headers,
    source_of,
)
from app.feed.webhook_secrets import SecretUnreadableError, WebhookSecrets

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FAILED = WebhookProblem.FAILED


class TestPublicAddress:
    @pytest.mark.parametrize("address", ["93.184.216.34", "2a00:1450:400e:80c::200e", "::ffff:93.184.216.34"])
    def test_is_one_of_the_internet(self, address):
        assert is_public(address)

    @pytest.mark.parametrize(
        "address",
        [
            "0.0.0.0",  # noqa: S104 - nothing binds to it
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fe80::1%eth0",
            "fec0::1",
            "ff02::1",
            "localhost",
            "",
        ],
    )
    def test_is_none_that_is_special(self, address):
        assert not is_public(address)


class TestWebhookAddress:
    def test_is_taken_apart(self):
        address = WebhookAddress.parse("https://Receiver.example:8443/a/b?c=d", plain=False)
        assert (address.host, address.port, address.target) == ("receiver.example", 8443, "/a/b?c=d")
        assert address.authority == "receiver.example:8443"

    @pytest.mark.parametrize(
        ("url", "authority", "port"),
        [
            ("https://receiver.example", "receiver.example", 443),
            ("https://receiver.example:443/", "receiver.example", 443),
            ("https://[2a00:1450::1]/", "[2a00:1450::1]", 443),
            ("https://93.184.216.34:1/", "93.184.216.34:1", 1),
        ],
    )
    def test_has_its_authority(self, url, authority, port):
        address = WebhookAddress.parse(url, plain=False)
        assert (address.authority, address.port) == (authority, port)
        assert address.target == "/"

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "https://",
            "https:///path",
            "receiver.example/hooks",
            "//receiver.example/hooks",
            "http://receiver.example/",
            "ftp://receiver.example/",
            "file:///etc/passwd",
            "https://user@receiver.example/",
            "https://user:secret@receiver.example/",
            "https://@receiver.example/",
            "https://receiver.example/#here",
            "https://receiver.example#",
            "https://receiver.example:0/",
            "https://receiver.example:65536/",
            "https://receiver.example:x/",
            "https://receiver..example/",
            "https://receiver.example./",
            "https://-receiver.example/",
            "https://receiver%2eexample/",
            "https://[::1/",
            "https://[::1%25eth0]/",
            "https://receiver.example\\@10.0.0.1/",
            "https://receiver.example/a b",
            "https://receiver.example/\r\nHost: other",
            "https://receiver.example/\x00",
            "https://réceiver.example/",
            "https://receiver。example/",
            "https://receiver.example/" + "a" * 2000,
        ],
    )
    def test_is_refused_with_its_field_and_without_its_value(self, url):
        with pytest.raises(BadUserInputError) as refused:
            WebhookAddress.parse(url, plain=False)
        assert refused.value.field == "input.url"
        assert not url or url not in str(refused.value)

    def test_may_be_plain_where_that_is_allowed(self):
        assert WebhookAddress.parse("http://localhost:8080/", plain=True).authority == "localhost:8080"
        assert WebhookAddress.parse("http://localhost/", plain=True).authority == "localhost"


class TestAfterFailure:
    def _course(self, luck):
        record, now = Record(), NOW
        pauses: list[timedelta] = []
        while True:
            setback = record.after_failure(FAILED, now, wish=None, luck=luck)
            record = Record(setback.failures, setback.failing_since)
            if setback.state is WebhookState.STOPPED:
                return pauses, now
            pauses.append(setback.next_attempt_at - now)
            now = setback.next_attempt_at

    @pytest.mark.parametrize("luck", [0.0, 0.5, 1.0])
    def test_tries_for_three_days_with_growing_pauses(self, luck):
        pauses, end = self._course(luck)
        assert end - NOW == 3 * DAY
        assert pauses[0] == timedelta(seconds=5) * (0.75 + luck / 2)
        assert pauses[:10] == sorted(pauses[:10])
        assert max(pauses) <= timedelta(hours=7.5)
        assert 20 <= len(pauses) <= 35

    def test_scatters_what_failed_together(self):
        early, late = (Record(5, NOW).after_failure(FAILED, NOW, wish=None, luck=luck) for luck in (0, 1))
        assert late.next_attempt_at - early.next_attempt_at == timedelta(seconds=5 * 32 / 2)

    @pytest.mark.parametrize("problem", [WebhookProblem.GONE, WebhookProblem.SECRET_UNREADABLE])
    def test_stops_where_trying_again_cannot_help(self, problem):
        assert Record().after_failure(problem, NOW, wish=None, luck=0).state is WebhookState.STOPPED

    def test_obeys_a_wish_up_to_a_day(self):
        def pause(wish):
            return Record().after_failure(FAILED, NOW, wish=wish, luck=0).next_attempt_at - NOW

        assert pause(timedelta(minutes=2)) == timedelta(minutes=2)
        assert pause(timedelta(seconds=1)) == timedelta(seconds=3.75)
        assert pause(timedelta(days=400)) == DAY

    def test_keeps_the_start_of_the_trouble(self):
        setback = Record(3, NOW - DAY).after_failure(FAILED, NOW, wish=None, luck=0)
        assert (setback.failures, setback.failing_since) == (4, NOW - DAY)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            ("120", timedelta(seconds=120)),
            ("9" * 5000, DAY),
            ("Sun, 22 Nov 2026 12:05:00 GMT", timedelta(minutes=5)),
            ("Sun, 22 Nov 2026 11:00:00 GMT", timedelta()),
            ("Sun, 22 Nov 2026 11:00:00 +99999999999999", None),
            ("Sun, 22 Nov 2026 11:00:99999999999999999999 GMT", None),
            ("Sun, 22 Nov 99999 11:00:00 GMT", None),
            ("-1", None),
            ("soon", None),
            ("٣", None),
            ("", None),
        ],
    )
    def test_is_seconds_or_a_date(self, value, expected):
        assert retry_after(value, NOW) == expected


class TestNotification:
    def test_is_a_cloudevent_without_content(self):
        notification = Notification(UUID(int=7), 12, datetime(2026, 11, 22, 13, tzinfo=UTC))
        body = notification.body(source_of("00000003123456780000"), "https://hub.example/graphql")
        assert json.loads(body) == {
            "specversion": "1.0",
            "id": "00000000-0000-0000-0000-000000000007",
            "source": "urn:nld:oin:00000003123456780000:systeem:koppelpunt",
            "type": "nl.mbo-koppelpunt.status-changed.v1",
            "time": "2026-11-22T13:00:00Z",
            "sequence": "12",
            "sequencetype": "Integer",
            "dataref": "https://hub.example/graphql",
        }


class TestSignature:
    def test_is_that_of_standard_webhooks(self):
        # The example of the specification's reference implementations.
        secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        headers = signature_headers(
            secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            datetime.fromtimestamp(1614265330, UTC),
            b'{"test": 2432232314}',
        )
        assert headers == {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        }


class TestSecrets:
    def test_are_sealed_each_time_anew_and_opened_in_their_place_only(self):
        secrets = WebhookSecrets(bytes(32))
        secret, place = secrets.new(), (1, uuid4())
        sealed = secrets.seal(secret, *place)
        assert secrets.open(sealed, *place) == secret
        assert secrets.seal(secret, *place) != sealed
        assert secret not in sealed
        for organisation_id, webhook_id in ((2, place[1]), (1, uuid4())):
            with pytest.raises(SecretUnreadableError):
                secrets.open(sealed, organisation_id, webhook_id)
        with pytest.raises(SecretUnreadableError):
            WebhookSecrets(bytes(31) + b"1").open(sealed, *place)
        with pytest.raises(SecretUnreadableError):
            secrets.open(b"", *place)

    def test_are_shown_as_standard_webhooks_has_them(self):
        assert shown(bytes(24)) == "whsec_" + "A" * 32
