# SPDX-License-Identifier: Apache-2.0
"""GET a URL with its host spelled as it is: curl writes a number as the address that it means.

  python3 get.py http://HOST/PATH       through $http_proxy, if it is set
"""
import os
import socket
import sys
from urllib.parse import urlsplit

url = sys.argv[1]
host = url.split("/")[2]
proxy = urlsplit(os.environ.get("http_proxy", ""))
address = (proxy.hostname, proxy.port) if proxy.hostname else (host.strip("[]"), 80)
path = url if proxy.hostname else "/" + url.split("/", 3)[3]
with socket.create_connection(address, 5) as connection:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
print(answer)
sys.exit(0 if answer.split(" ")[1] == "200" else 1)
