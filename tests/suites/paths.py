# SPDX-License-Identifier: Apache-2.0
"""tests/suites/paths - what scripts/suites/limbo and pkits share: questions to the program path_check, and deviations.

A list of deviations has a line a case: id (a * at its end stands for any), what the suite wants, what ours says, rule of
codec/strict ("-": none), section of RFC 5280, sentence. A case that deviates and is not listed fails; a listed case that
was read and does not deviate fails, and so does a line with a * when none of the cases read under it deviates."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("BP_PATH_CHECK") or os.path.join(ROOT, "build/dev/tests/suites/path_check")


class Answer:
    def __init__(self, line):
        self.accepted = line == "OK"
        self.text = line
        self.rule = line.split("rule=")[1].split()[0] if "rule=" in line else "NONE"


def ask(questions):
    """Each question is a list of lines without its end; gives an Answer each."""
    text = "".join("\n".join(q + ["end"]) + "\n" for q in questions)
    out = subprocess.run([PROGRAM], input=text, capture_output=True, text=True, timeout=900)
    answers = [Answer(line) for line in out.stdout.splitlines()]
    if out.returncode != 0 or len(answers) != len(questions):
        raise SystemExit(f"path_check ended with {out.returncode} after {len(answers)} of {len(questions)}: {out.stderr}")
    return answers


def deviations(path):
    rows = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, wanted, ours, rule, section, sentence = line.rstrip("\n").split("\t")
                rows[name] = {"wanted": wanted, "ours": ours, "rule": rule, "section": section, "sentence": sentence}
    return rows


def row_of(rows, name):
    if name in rows:
        return name
    for key in rows:
        if key.endswith("*") and name.startswith(key[:-1]):
            return key
    return None


class Judge:
    """Counts cases; prints those that are not as they should be."""

    def __init__(self, suite, rows):
        self.suite, self.rows, self.passed, self.failed = suite, rows, 0, 0
        self.met, self.deviated = set(), set()

    def count(self, good, name, why):
        self.passed, self.failed = self.passed + good, self.failed + (not good)
        if not good:
            print(f"not ok {self.suite}.{name}: {why}")

    def case(self, name, wants_accept, answer):
        key = row_of(self.rows, name)
        row = self.rows.get(key)
        if key is not None:
            self.met.add(key)
        words = {True: "accepted", False: "refused"}
        if answer.accepted == wants_accept:
            stale = row is not None and not key.endswith("*")
            self.count(not stale, name, f"listed as a deviation, and {words[answer.accepted]} as the suite wants")
            return
        if row is None:
            self.count(False, name, f"should be {words[wants_accept]}: {answer.text}")
            return
        self.deviated.add(key)
        told = row["ours"] == words[answer.accepted] and row["wanted"] == words[wants_accept]
        told = told and row["rule"] in ("-", answer.rule)
        self.count(told, name, f"deviates in another way than listed: {answer.text}")
        print(f"# {self.suite}.{name}: {words[answer.accepted]}, RFC 5280 section {row['section']}: {row['sentence']}")

    def end(self):
        for key in sorted(self.met - self.deviated):
            if key.endswith("*"):
                self.count(False, key, "listed as deviations, and none of the cases read deviates")
        print(f"{self.passed} passed, {self.failed} failed")
        return 2 if self.passed + self.failed == 0 else 1 if self.failed else 0
