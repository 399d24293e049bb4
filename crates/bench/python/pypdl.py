"""Fetches one file with pypdl: pypdl.py URL PATH CONNECTIONS [--ca FILE]"""

import argparse
import ssl
import sys
from importlib import metadata

from pypdl import Pypdl


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="version", version=metadata.version("pypdl"))
    parser.add_argument("--ca")
    parser.add_argument("url")
    parser.add_argument("path")
    parser.add_argument("connections", type=int)
    arguments = parser.parse_args()
    options = {"ssl": ssl.create_default_context(cafile=arguments.ca)} if arguments.ca else {}
    Pypdl().start(
        arguments.url,
        file_path=arguments.path,
        segments=arguments.connections,
        display=False,
        **options,
    )


if __name__ == "__main__":
    sys.exit(main())
