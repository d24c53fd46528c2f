"""What a line of the log holds, and what it loses on the way."""

from __future__ import annotations

from app.telemetry import _scrub_event


class TestLine:
    def test_keeps_its_time_and_ids_readable(self) -> None:
        made = {
            "timestamp": "2026-11-22T04:18:48.123456Z",
            "request_id": "12345678901234567890123456789012",
            "error_id": "98765432109876543210987654321098",
        }
        assert _scrub_event(None, "info", dict(made)) == made

    def test_loses_what_might_be_a_personal_number(self) -> None:
        line = _scrub_event(
            None, "info", {"event": "x", "reason": "999990342", "traceback": "at 99 99 90 34 2"}
        )
        assert "9999" not in str(line)
        assert line["event"] == "x"
