"""Fetches one file with hf_transfer: hf_transfer.py URL PATH CONNECTIONS"""

import argparse
from importlib import metadata

import hf_transfer

CHUNK = 10 << 20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="version", version=metadata.version("hf_transfer"))
    parser.add_argument("url")
    parser.add_argument("path")
    parser.add_argument("connections", type=int)
    arguments = parser.parse_args()
    hf_transfer.download(
        url=arguments.url,
        filename=arguments.path,
        max_files=arguments.connections,
        chunk_size=CHUNK,
        parallel_failures=3,
        max_retries=5,
        headers={},
    )


main()
