"""The documentation does what it says: its commands run, its links lead somewhere.

A command is a line that starts with "$ " in a fenced block marked `console`; a line that ends in
a backslash goes on in the next; `# exits 2` at its end names another exit code than 0. Commands
of one document run in order in one folder, a copy of the checkout, so later ones may use what
earlier ones wrote. `make` commands are not run, since `make test` runs this file: they must name
a target of the Makefile.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise.study.file import read

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^```toml\n(\[study\].*?)^```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
EXITS = re.compile(r"\s+# exits (\d+)\s*$")
LINK = re.compile(r"\]\(([^)\s]+)\)")

# Written so that this file does not match itself.
FORBIDDEN = {
    "the address of a package index": re.compile(
        rb"index[-_]url|https?://[^\s\"'<>]+/simple\b|resolved[\"']?\s*[:=]\s*[\"']?https?:"
        rb"|registry\s*=\s*[\"']?https?:"
    ),
    "a path of one machine": re.compile(rb"(?:^|[^.\w/])/(?:work|root|home|farm)/", re.MULTILINE),
}


def name(document: Path) -> str:
    return str(document.relative_to(ROOT))


def commands(text: str) -> list[tuple[str, int]]:
    """Return each command of a document with the exit code that it documents."""
    found = []
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                code = EXITS.search(line)
                found.append((EXITS.sub("", line[2:]).strip(), int(code[1]) if code else 0))
    return found


def headings(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def listed(*options: str) -> list[Path]:
    """Return the files of the checkout, tracked or about to be."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: its files cannot be listed")
    out = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard", *options],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [ROOT / path for path in out.split("\0") if path and (ROOT / path).is_file()]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the checkout without its environment and its history."""
    for file in listed():
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return tmp_path


def test_a_command_carries_its_exit_code_and_its_continuation() -> None:
    text = "```console\n$ a \\\n  b  # exits 2\noutput\n$ c\n```\n```sh\n$ no\n```\n"
    assert [(line.split(), code) for line, code in commands(text)] == [(["a", "b"], 2), (["c"], 0)]


def test_readme_has_the_two_commands_and_more() -> None:
    found = [line for line, _ in commands(DOCUMENTS[0].read_text("utf-8"))]
    assert {"make demo", "make test"} <= set(found)
    assert any(line.startswith("equipoise ") for line in found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_make_commands_name_a_target(document: Path) -> None:
    for line, _ in commands(document.read_text("utf-8")):
        if line.split()[0] == "make":
            assert set(line.split()[1:]) <= TARGETS, f"{name(document)}: $ {line}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if commands(d.read_text("utf-8"))], ids=name
)
def test_commands_exit_as_documented(document: Path, copy: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for line, code in commands(document.read_text("utf-8")):
        if line.split()[0] == "make":
            continue
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=copy,
            env={**os.environ, "PATH": path},
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == code, (
            f"{name(document)}: $ {line}\nexit code {done.returncode}, documented {code}\n"
            f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )


def test_the_example_study_files_are_read(tmp_path: Path) -> None:
    examples = EXAMPLE.findall((ROOT / "docs" / "study-file.md").read_text("utf-8"))
    assert examples
    for example in examples:
        file = tmp_path / "study.toml"
        file.write_text(example, "utf-8")
        assert read(file).id


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_between_documents_resolve(document: Path) -> None:
    for link in LINK.findall(FENCED.sub("", document.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{name(document)} links to {link}, which is not there"
        if anchor and target.suffix == ".md":
            found = headings(target.read_text("utf-8"))
            assert anchor in found, f"{name(document)} links to {link}, which is no heading"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_of_the_project_contains(what: str) -> None:
    contents = {file: file.read_bytes() for file in listed()}
    texts = {file: data for file, data in contents.items() if b"\0" not in data[:8000]}
    assert [name(f) for f, data in texts.items() if FORBIDDEN[what].search(data)] == []
