"""Texts that tokenizers stumble over."""

from __future__ import annotations

import numpy as np


def odd_texts() -> list[str]:
    """500 texts that tokenizers stumble over: scripts, emoji, markup, control characters, nothing, 200 words."""
    random = np.random.default_rng(3)
    alphabets = [
        "abcdefghijklmnop qrstuvwxyz ",
        "ABC xyz'\"!?.,;:-_()[]{}<>/\\|@#$%^&*+=~` 0123456789",
        "äöüßéèçñøåœæ ÄÖÜ ŁŠŽ",
        "病理学 组织 腺体 上皮 细胞核 分裂像 ",
        "αβγδ µm² ½ ³ ™ ﬁ ﬂ \u00a0\u2003\u200b\u200d ",
        "😀🔬🧫🩸👩🏽‍⚕️ ❤️ ",
        "\t\n\r \x0b\x0c\x1f\x00\x7f",
        "рак лёгкого עברית العربية हिन्दी ไทย ",
    ]
    texts = [
        "",
        " ",
        "adenocarcinoma",
        "An H&E image of {} tissue.",
        "it's they're we'll I'd don't I've I'm",
        "IT'S THEY'RE",
        "&lt;b&gt; &amp;amp; &eacute;",
        "<start_of_text> a <end_of_text> b",
        "<START_OF_TEXT>",
        "word " * 200,
        "supercalifragilistic" * 30,
        "schÃ¶n â€œquotedâ€\x9d",
        "a\u0301 e\u0308",
        "#hashtag @user https://t.co/x",
        "\ufeffbom",
        "İstanbul ŉ ß ẞ ſ K",
    ]
    for number in range(500 - len(texts)):
        alphabet = alphabets[number % len(alphabets)]
        if number % 3 == 0:
            alphabet += alphabets[(number // 3) % len(alphabets)]
        texts.append("".join(random.choice(list(alphabet), size=int(random.integers(1, 120)))))
    return texts
