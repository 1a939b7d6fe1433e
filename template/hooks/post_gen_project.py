"""Put right what rendering alone cannot: compiled files of an installed template, and a relative path to the checkout."""

import json
import os
import shutil
import sys
from pathlib import Path

ANSWERS = json.loads(r'''{{ cookiecutter | tojson }}''')
TEMPLATE = ANSWERS["_repo_dir"]


def template_folder():
    """Return the template's absolute folder; cookiecutter names it relative to where it was started."""
    try:
        bases = [os.readlink(f"/proc/{os.getppid()}/cwd")]  # cookiecutter stands in the template while hooks run
    except OSError:
        bases = []
    for folder in [*map(Path, bases), Path(os.environ.get("PWD", "/"), TEMPLATE)]:
        if (folder / "cookiecutter.json").is_file():
            return folder.resolve()
    return None


def main():
    for compiled in Path().rglob("__pycache__"):
        shutil.rmtree(compiled)
    project = Path("pyproject.toml")
    text = project.read_text(encoding="utf-8")
    marker = 'doze-sdk = { path = "'
    if marker not in text or os.path.isabs(TEMPLATE) or ANSWERS["_sdk"] != "auto":
        return
    folder = template_folder()
    if folder is None:
        sys.exit(f"cannot tell where {TEMPLATE} lies: name the template by an absolute path")
    before, _, rest = text.partition(marker)
    quoted = str(folder.parent).replace("\\", "\\\\").replace('"', '\\"')
    project.write_text(before + marker + quoted + '" }' + rest[rest.index("\n"):], encoding="utf-8")


if __name__ == "__main__":
    main()
