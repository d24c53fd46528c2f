"""The list of open connections ends all of them, and each once."""

from app.transport.graphql_endpoint.connections import Connections


class Connection:
    """Counts how often it was told to end."""

    def __init__(self):
        self.told = 0

    def end(self, _close):
        self.told += 1


class TestTheEndOfAll:
    def test_is_told_to_each_once_however_often_it_is_said(self):
        """Every connection says it when the server stops: with 10,000 of them that took half a minute."""
        connections, members = Connections(1000, 1000), [Connection() for _ in range(1000)]
        assert all(map(connections.admit, members))
        for _ in members:
            connections.begin_to_close()
        assert {one.told for one in members} == {1}

    def test_lets_nobody_in_any_more(self):
        connections = Connections(10, 10)
        connections.begin_to_close()
        assert not connections.admit(Connection())
