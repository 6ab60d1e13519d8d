"""nginx that looks a key up in a map: the limit of what a gateway could cost."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from benchmarks.rivals import environments
from benchmarks.started import StartedOnPort

KEY = "sk-bench"
KEYS = 1000
CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_max_body_size 32m;
    client_body_buffer_size 2m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    map_hash_max_size 8192;
    map $http_authorization $known {{
        default 0;
        {keys}
    }}
    upstream ollama {{
        server {upstream};
        keepalive 512;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            if ($known = 0) {{ return 401; }}
            proxy_pass http://ollama;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "";
            proxy_set_header Host {upstream};
            proxy_buffering off;
        }}
    }}
}}
"""


class Nginx(StartedOnPort):
    """One worker, kept connections, no buffering of answers, no log, a thousand keys."""

    name = "nginx"

    def prepare(self) -> None:
        """Writes its configuration."""
        super().prepare()
        self.headers = {"Authorization": f"Bearer {KEY}"}
        self.program = environments.debian("nginx", "nginx")
        keys = "\n        ".join(f'"Bearer {KEY}{number or ""}" 1;' for number in range(KEYS))
        text = CONFIGURATION.format(
            # The folder is this user's alone, and so must be the worker.
            user="user root;" if hasattr(os, "getuid") and os.getuid() == 0 else "",
            folder=self.folder,
            keys=keys,
            upstream=urlsplit(self.upstream).netloc,
            port=self.port,
        )
        (self.folder / "nginx.conf").write_text(text)

    def command(self) -> list[str]:
        """Returns the command of the server."""
        return [str(self.program), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
