"""What a Python has: `facts.py MODULE...` prints its version, which of the modules it lacks, the versions of what it has, and the bytes
on disk of these packages and of all that they require."""

import importlib.metadata
import importlib.util
import json
import platform
import re
import sys

# Packages whose names are not those of their modules; the first one that is installed counts.
PACKAGES = {"cv2": ("opencv-python-headless", "opencv-python"), "PIL": ("pillow",), "onnxruntime": ("onnxruntime", "onnxruntime-gpu")}


def version(module):
    for package in PACKAGES.get(module, (module,)):
        try:
            return [package, importlib.metadata.version(package)]
        except importlib.metadata.PackageNotFoundError:
            continue
    return [module, "unknown"]


def with_requirements(packages):
    """The installed distributions of these packages, and of all that they require in turn, each once."""
    found, left = {}, list(packages)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        # What is for an extra alone was not asked for; what is for another system is not installed.
        needed = [text for text in found[name].requires or [] if not re.search(r"\bextra\s*==", text)]
        left += [re.match(r"[\w.-]+", text).group() for text in needed]
    return list(found.values())


def bytes_on_disk(packages):
    """Of all their files together; None where a package is unknown, or does not tell its files."""
    distributions = with_requirements(packages)
    if len(distributions) < len(packages) or any(distribution.files is None for distribution in distributions):
        return None
    paths = {distribution.locate_file(file) for distribution in distributions for file in distribution.files}
    return sum(path.stat().st_size for path in paths if path.is_file())


def main():
    missing = [module for module in sys.argv[1:] if importlib.util.find_spec(module) is None]
    versions = [version(module) for module in sys.argv[1:] if module not in missing]
    size = bytes_on_disk([package for package, _ in versions])
    print(json.dumps({"python": platform.python_version(), "missing": missing, "versions": versions, "bytes": size}))


if __name__ == "__main__":
    main()
