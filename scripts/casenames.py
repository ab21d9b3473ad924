# SPDX-License-Identifier: Apache-2.0
"""casenames - whether a test's source has a case of a name; for the checks of this folder."""
import os
import re


class Cases:
    """Words in the sources below tests/ of a tree."""

    def __init__(self, root):
        self.words = set()
        for folder, dirs, names in os.walk(os.path.join(root, "tests")):
            dirs[:] = [d for d in dirs if d not in ("node_modules", "corpus")]
            for name in names:
                if name.endswith((".c", ".py", ".mjs", ".h")) or "." not in name:
                    with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as f:
                        self.words.update(re.findall(r"\w+", f.read()))

    def _is_written(self, word):
        """As it stands, or put together from a beginning and a written end of at least two words."""
        parts = word.split("_")
        return any("_".join(parts[i:]) in self.words for i in range(max(1, len(parts) - 1)))

    def has(self, case):
        """SUITE.NAME, or SUITE.TABLE.NAME: every part behind the suite is written somewhere."""
        parts = case.split(".")
        return len(parts) > 1 and all(self._is_written(p) for p in parts[1:])
