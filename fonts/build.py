"""Make the font in which pictures write Hangul from NanumGothic, as Debian's package fonts-nanum has it.

``python fonts/build.py [SOURCE TARGET]`` writes the same bytes each time: the 2,350 syllables of KS X 1001, which are
nearly all that is written, their letters, kana, Latin and punctuation, without hints. What it lacks, Greek and arrows
among it, the font that comes with matplotlib draws.

NanumGothic is under the SIL Open Font License, which keeps its name for the original: the subset has one of its own.
The licence lies beside the font.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

SOURCE = Path("/usr/share/fonts/truetype/nanum/NanumGothic.ttf")
# The font of fonts-nanum 20200506-1, version 3.021.
DIGEST = "48a28e97b34fc8e5b157657633670cd1b7de126cfc414da65ce9c3d5bc8be733"
TARGET = Path(__file__).parent.parent / "src" / "sumtoone" / "plots" / "fonts" / "hangul.ttf"

FAMILY = "Sumtoone Hangul"
NAMES = {
    0: "Copyright (c) 2010, NAVER Corporation (http://www.nhncorp.com). A subset of another name, made for sumtoone.",
    1: FAMILY,
    2: "Regular",
    3: "sumtoone;Hangul;1",
    4: FAMILY,
    5: "Version 1.0",
    6: "SumtooneHangul-Regular",
    13: "This Font Software is licensed under the SIL Open Font License, Version 1.1.",
    14: "https://openfontlicense.org",
}


def letters() -> set[int]:
    """Return the code points of the subset: of KS X 1001 punctuation, jamo, kana and syllables, and Latin."""
    rows = [0xA1, 0xA2, 0xA3, 0xA4, 0xAA, 0xAB, *range(0xB0, 0xC9)]
    wanted = {code for code in range(0x20, 0x180) if not 0x7F <= code < 0xA0}
    for row in rows:
        for column in range(0xA1, 0xFF):
            wanted.update(map(ord, bytes([row, column]).decode("euc-kr", errors="ignore")))
    return wanted


def subset(source: Path) -> TTFont:
    """Return the subset of a font, under its own name."""
    font = TTFont(source, recalcTimestamp=False)
    options = Options()
    options.hinting = False
    options.layout_features = []
    options.name_IDs = []
    options.drop_tables += ["BASE", "GDEF", "GPOS", "GSUB", "TSI0", "TSI1", "TSI2", "TSI3", "TSI5", "vhea", "vmtx"]
    maker = Subsetter(options)
    maker.populate(unicodes=letters())
    maker.subset(font)
    for number, words in NAMES.items():
        font["name"].setName(words, number, platformID=3, platEncID=1, langID=0x409)
    return font


def main() -> None:
    """Write the font, if the source is the one that it has always been made from."""
    source, target = map(Path, sys.argv[1:] or (SOURCE, TARGET))
    if hashlib.sha256(source.read_bytes()).hexdigest() != DIGEST:
        sys.exit(f"{source} is another font than the one of fonts-nanum 20200506-1")
    font = subset(source)
    font.save(target)
    print(f"{target}: {target.stat().st_size:,} bytes, {len(font.getBestCmap()):,} letters")


if __name__ == "__main__":
    main()
