"""Turns a terminal's screen into docs/screen.svg.

    tmux capture-pane -e -p -t PANE > screen.txt
    python3 docs/screen.py screen.txt > docs/screen.svg
"""

import html
import re
import sys

WIDTH, LINE, CHAR, PAD = 100, 18, 8.4, 16
COLOURS = {"32": "#7ee787", "36": "#79c0ff", "31": "#ff7b72", "33": "#e3b341", "1": "#ffffff"}

lines = open(sys.argv[1], encoding="utf-8").read().rstrip("\n").split("\n")
height = len(lines) * LINE + 2 * PAD
width = int(WIDTH * CHAR) + 2 * PAD
print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" aria-label="towline on a terminal">')
print(f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>')
print('<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" fill="#c9d1d9" xml:space="preserve">')
for row, line in enumerate(lines):
    x, colour = 0, None
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if code:
            colour = next((COLOURS[c] for c in code[1].split(";") if c in COLOURS), None)
            continue
        if part.strip():
            fill = f' fill="{colour}"' if colour else ""
            text = html.escape(part.replace(" ", "\u00a0"))
            print(f'<text x="{PAD + x * CHAR:.1f}" y="{PAD + row * LINE + 13}" textLength="{len(part) * CHAR:.1f}"{fill}>{text}</text>')
        x += len(part)
print("</g></svg>")
