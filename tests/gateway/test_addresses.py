"""Where the gateway listens, tried out and written down."""

from __future__ import annotations

import errno
import socket

import pytest

from gateway.addresses import CannotListen, Listening, listening, why


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8100"),
        ("0.0.0.0", "http://127.0.0.1:8100"),
        ("::", "http://[::1]:8100"),
        ("::1", "http://[::1]:8100"),
        ("fd00::5", "http://[fd00::5]:8100"),
        ("gateway.local", "http://gateway.local:8100"),
    ],
)
def test_the_url_is_one_for_a_client_on_this_machine(host: str, url: str) -> None:
    assert Listening(host, 8100).url == url


def test_port_0_becomes_a_free_one() -> None:
    where = listening("127.0.0.1", 0)
    with socket.create_server(where):
        assert where.port > 0


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"^Port {port} on 127.0.0.1 is in use: stop what listens there, or"):
            listening("127.0.0.1", port)


def test_a_name_that_does_not_resolve_is_told() -> None:
    with pytest.raises(CannotListen, match=r"^nowhere.invalid is not an address of this machine \("):
        listening("nowhere.invalid", 0)


def test_a_port_that_needs_more_rights_is_told() -> None:
    error = OSError(errno.EACCES, "Permission denied")
    assert (
        why(error, "127.0.0.1", 80) == "Port 80 is not yours to listen on: choose one above 1023 with --port or PORT."
    )
