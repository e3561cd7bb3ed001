"""What a Python has: `facts.py MODULE...` prints its version, which of the modules it lacks, and the versions of what it has."""

import importlib.metadata
import importlib.util
import json
import platform
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


def main():
    missing = [module for module in sys.argv[1:] if importlib.util.find_spec(module) is None]
    versions = [version(module) for module in sys.argv[1:] if module not in missing]
    print(json.dumps({"python": platform.python_version(), "missing": missing, "versions": versions}))


if __name__ == "__main__":
    main()
