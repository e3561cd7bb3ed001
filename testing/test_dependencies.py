"""Tests of `dependencies.py`: `python3 -m unittest discover testing`."""

import unittest

from dependencies import is_allowed, problems

RULES = {"licenses": {"allow": ["MIT", "Apache-2.0 WITH LLVM-exception"]}, "bans": {"deny": [{"crate": "openssl-sys"}]}}


def package(**more):
    return {"name": "a", "version": "1.0.0", "license": "MIT", "source": "registry+here", "dependencies": []} | more


class Licences(unittest.TestCase):
    def test_expressions(self):
        allowed = set(RULES["licenses"]["allow"])
        for text in ("MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "Apache-2.0 WITH LLVM-exception", "(GPL-2.0 OR MIT) AND MIT"):
            self.assertTrue(is_allowed(text, allowed), text)
        for text in ("GPL-3.0", "MIT AND GPL-2.0", "Apache-2.0", "MIT WITH Else", "(MIT OR X) AND GPL-2.0"):
            self.assertFalse(is_allowed(text, allowed), text)

    def test_what_is_wrong_is_told(self):
        found = lambda **more: problems([package(**more)], RULES)[0]
        self.assertEqual(found(), [])
        self.assertIn("GPL-3.0", found(license="GPL-3.0")[0])
        self.assertIn("cannot be read", found(license="MIT AND")[0])
        self.assertIn("None", found(license=None)[0])
        self.assertIn("bans", found(name="openssl-sys")[0])
        self.assertIn("registry", found(source="git+https://example.org/a")[0])
        self.assertIn("any version", found(source=None, dependencies=[{"name": "b", "req": "*"}])[0])
        self.assertEqual(found(source=None, dependencies=[{"name": "b", "req": "*", "path": "b"}]), [])

    def test_two_versions_are_a_remark(self):
        self.assertEqual(len(problems([package(), package(version="2.0.0")], RULES)[1]), 1)


if __name__ == "__main__":
    unittest.main()
