"""Every connection to PostgreSQL that goes over a network tells the kernel for how long it may be silent."""

import socket
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from app.persistence.database import Database
from app.persistence.silence import BY_THE_SERVER
from tests.factories.live_hub import free_port
from tests.faults.proxy import Proxy

OPTIONS = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
WANTED = [1, *(int(value) for value in BY_THE_SERVER.values())]


def limits(connection):
    """Return what the kernel was told about the socket below."""
    own = connection._transport.get_extra_info("socket")
    return [
        own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        *(own.getsockopt(socket.IPPROTO_TCP, getattr(socket, option)) for option in OPTIONS),
    ]


@pytest.fixture
async def distant(database_url):
    """Open the database as if it were on another machine."""
    folder, port = parse_qs(urlsplit(database_url).query)["host"][0], free_port()
    async with Proxy.listening(f"{folder}/.s.PGSQL.5432", port):
        database = Database(f"{database_url.split('?')[0]}?host=127.0.0.1&port={port}&sslmode=disable")
        await database.open()
        yield database
        await database.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name their limits otherwise")
class TestConnection:
    async def test_of_the_pool_may_not_be_silent_for_long(self, distant):
        async with distant.connection() as connection:
            assert limits(connection) == WANTED

    async def test_of_a_session_may_not(self, distant):
        async with distant.engine.connect() as session:
            lent = await session.get_raw_connection()
            assert limits(lent.driver_connection) == WANTED

    async def test_of_an_election_may_not(self, distant):
        connection = await distant.dedicated()
        assert limits(connection) == WANTED
        connection.terminate()
