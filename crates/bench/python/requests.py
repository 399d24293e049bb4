"""Fetches a file in ranges, or a list of files, with requests on a ThreadPoolExecutor.

requests.py URL PATH CONNECTIONS [--ca FILE]
requests.py --list FILE DIR AT_ONCE [--ca FILE]
"""

import argparse
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import requests

CHUNK = 1 << 16
local = threading.local()


def session(ca):
    if not hasattr(local, "session"):
        local.session = requests.Session()
        local.session.verify = ca or True
    return local.session


def store(url, path, ca, headers=None, offset=0, mode="wb"):
    with session(ca).get(url, headers=headers, stream=True, timeout=60) as response:
        response.raise_for_status()
        with open(path, mode) as file:
            file.seek(offset)
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)


def one(url, path, connections, ca):
    size = int(session(ca).head(url, headers={"Accept-Encoding": "identity"}).headers["Content-Length"])
    with open(path, "wb") as file:
        file.truncate(size)
    step = -(-size // connections)

    def part(start):
        end = min(start + step, size) - 1
        store(url, path, ca, {"Range": f"bytes={start}-{end}"}, start, "r+b")

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(part, range(0, size, step)))


def many(urls, directory, at_once, ca):
    with open(urls) as lines, ThreadPoolExecutor(at_once) as pool:
        fetch = lambda url: store(url, os.path.join(directory, url.rsplit("/", 1)[1]), ca)
        list(pool.map(fetch, lines.read().split()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="version", version=metadata.version("requests"))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--ca")
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    work = many if arguments.list else one
    work(arguments.source, arguments.target, arguments.count, arguments.ca)


main()
