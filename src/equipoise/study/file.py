"""The study file: what is asked, by whom, of which sites; read whole or refused with all that is wrong.

Paths are the sites' own: they are taken relative to the study file, are not
opened here, and are no part of what `Study.public` gives.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

from equipoise.consent.terms import PURPOSES, Purpose
from equipoise.errors import ConsentError, InputError, Problem
from equipoise.federation.identity import CENTRE
from equipoise.plan import KEEPER
from equipoise.study import protecting
from equipoise.study.records import (
    MARGINS,
    Audit,
    Covariates,
    Person,
    SiteFiles,
    Study,
    Trait,
    VariantList,
)
from equipoise.study.section import Place, Section, Source, find_lines

LARGEST: Final = 1_000_000
TABLES: Final = (
    "study",
    "people",
    "trait",
    "covariates",
    "variants",
    "site",
    "protection",
    "validation",
    "audit",
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_FORM: Final = "up to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit"

# What a study file may say and this version does not do yet: table, key (None
# for the table itself), when it counts, and the sentence. Delete a row when it is done.
NOT_YET: Final[tuple[tuple[str, str, Callable[[object], bool], str], ...]] = (
    ("trait", "type", lambda v: v == "quantitative", "a quantitative trait"),
)


def read(path: Path) -> Study:
    """Give the study a file describes.

    Raises InputError with every problem found, and ConsentError for a purpose
    that no consent can cover.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "study.toml"
    >>> _ = path.write_text("[studdy]")
    >>> read(path)                                                # doctest: +ELLIPSIS
    Traceback (most recent call last):
    equipoise.errors.InputError: ...study.toml:1: an unknown table `studdy`; ...did you mean `study`?...
    """
    text = _text(path)
    document = _document(text, str(path))
    source = Source(str(path), find_lines(text))
    for name in document:
        if name not in TABLES:
            source.unknown((name,), "table", TABLES)
    study = _study(document, source, path.parent)
    _not_yet(document, source)
    if source.problems:
        raise InputError(sorted(source.problems, key=lambda problem: problem.line or 0))
    return study


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        found = "no such file" if missing else "a file that cannot be read"
        raise _unreadable(path, None, found, "give the path of the study file") from None
    if not data.strip():
        raise _unreadable(path, None, "an empty file", "begin with [study]")
    if len(data) > LARGEST:
        remedy = "give the study file, not a table of data"
        raise _unreadable(path, None, f"more than {LARGEST} bytes", remedy)
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, line, "bytes that are no UTF-8", "save the file as UTF-8") from None


def _unreadable(path: Path, line: int | None, found: str, remedy: str) -> InputError:
    return InputError(Problem(str(path), line, found, "a study file in TOML", remedy))


def _document(text: str, file: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        what = "a line that is no TOML: " + str(error).partition(" (at")[0]
        remedy = "correct the line; texts need quotes, and every table and key comes once"
        raise InputError(Problem(file, line, what, "TOML", remedy)) from None


def _not_yet(document: Mapping[str, object], source: Source) -> None:
    """Keep a problem for each thing of `NOT_YET` that the file asks for."""
    for name, key, counts, sentence in NOT_YET:
        for place, table in _tables(document, name):
            if counts(table.get(key)):
                remedy = "remove it, or wait for a later version"
                found = f"{sentence}, which is not available in this version"
                source.add((*place, key), found, "a study without it", remedy)


def _tables(document: Mapping[str, object], name: str) -> list[tuple[Place, Mapping[str, object]]]:
    """Give the tables of a name with their places: one, or all of an array of tables."""
    found = document.get(name)
    if isinstance(found, dict):
        return [((name,), cast("dict[str, object]", found))]
    if isinstance(found, list):
        items = cast("list[object]", found)
        return [
            ((name, number), cast("dict[str, object]", item))
            for number, item in enumerate(items)
            if isinstance(item, dict)
        ]
    return []


def _one(document: Mapping[str, object], source: Source, name: str, *, needed: bool) -> Section:
    """Give the section of a table that may come once."""
    found = document.get(name)
    if isinstance(found, dict):
        return Section(source, (name,), cast("dict[str, object]", found))
    if found is not None:
        remedy = f"write [{name}] once, with one pair of brackets"
        source.add((name,), f"`{name}` that is no single table", f"a table [{name}]", remedy)
    elif needed:
        source.add((), f"no table [{name}]", f"a table [{name}]", "add the table with its keys")
    return Section(source, (name,), {}, given=False)


def _many(document: Mapping[str, object], source: Source, name: str) -> list[Section]:
    """Give the sections of a table that must come at least once."""
    found = document.get(name)
    tables = _tables(document, name) if isinstance(found, list) else []
    whole = isinstance(found, list) and len(tables) == len(cast("list[object]", found))
    if not tables or not whole:
        what = f"no table [[{name}]]" if found is None else f"`{name}` that is no list of tables"
        remedy = f"write [[{name}]], with two pairs of brackets, once for each"
        source.add((name,), what, f"one or more tables [[{name}]]", remedy)
    return [Section(source, place, table) for place, table in tables]


def _study(document: Mapping[str, object], source: Source, folder: Path) -> Study:
    head = _one(document, source, "study", needed=True)
    trait = _trait(_one(document, source, "trait", needed=True))
    sites = _sites(_many(document, source, "site"), folder)
    protection = protecting.protection(_one(document, source, "protection", needed=False))
    study = Study(
        id=_name(head, "id"),
        question=head.text("question"),
        purpose=_purpose(head),
        as_of=head.day("as_of"),
        seed=head.whole("seed", 0, 2**63 - 1),
        people=tuple(_person(section) for section in _many(document, source, "people")),
        trait=trait,
        covariates=_covariates(_one(document, source, "covariates", needed=False), trait),
        variants=_variants(_one(document, source, "variants", needed=True), folder),
        sites=sites,
        protection=protection,
        validation=protecting.validation(
            _one(document, source, "validation", needed=False), sites, protection.kind
        ),
        audit=_audit(_one(document, source, "audit", needed=False), trait),
    )
    head.close()
    if protection.kind == "noise":
        protecting.check_noised(study, source)
    return study


def _name(section: Section, key: str) -> str:
    return section.text(key, _NAME_FORM, lambda text: _NAME.fullmatch(text) is not None)


def _path(section: Section, key: str, folder: Path) -> Path:
    return folder / section.text(key, "a path, seen from the study file")


def _purpose(head: Section) -> Purpose:
    expected = f"one of {', '.join(PURPOSES)}, DS with a disease, such as DS MONDO:0005015"
    text = head.text("purpose", expected)
    try:
        return Purpose.parse(text or "GRU")
    except InputError:
        found = f"`purpose` is the text {text[:40]!r}"
        head.add("purpose", found, expected, "correct it")
    except ConsentError as error:
        line = head.source.line((*head.place, "purpose"))
        raise ConsentError(f"{head.source.file}:{line}: {error}") from None
    return Purpose("GRU")


def _person(section: Section) -> Person:
    person = Person(section.text("name"), section.text("role"), section.text("contact"))
    section.close()
    return person


def _trait(section: Section) -> Trait:
    column = "the name of a column other than IID"
    name = section.text("name", column, lambda text: text != "IID")
    trait = Trait(name, section.choice("type", ("binary", "quantitative")))
    section.close()
    return trait


def _covariates(section: Section, trait: Trait) -> Covariates:
    columns = section.texts("columns")
    for name in sorted({"IID", trait.name} & set(columns)):
        found = f"`{name}` among the covariates"
        section.add("columns", found, "neither IID nor the trait", "remove it from the list")
    covariates = Covariates(columns, section.whole("components", 0, 100, 0))
    section.close()
    return covariates


def _variants(section: Section, folder: Path) -> VariantList:
    path, build = _path(section, "list", folder), section.choice("build", ("GRCh37", "GRCh38"))
    section.close()
    return VariantList(path, build)


def _sites(sections: list[Section], folder: Path) -> tuple[SiteFiles, ...]:
    sites: dict[str, SiteFiles] = {}
    for section in sections:
        name = _name(section, "name")
        # Sites become folders, and some file systems do not tell A from a.
        if name and name.casefold() in sites:
            remedy = "give each site its own name; upper and lower case count as the same"
            section.add("name", f"the site name `{name}` again", "a name of its own", remedy)
        if name.casefold() in (CENTRE, KEEPER):
            found, who = f"a site of the name `{name}`", name.casefold()
            section.add("name", found, "another name", f"choose one; the {who} signs with this")
        sites[name.casefold()] = SiteFiles(
            name,
            genotypes=_path(section, "genotypes", folder),
            phenotypes=_path(section, "phenotypes", folder),
            consents=_path(section, "consents", folder),
            external=section.flag("external", default=False),
        )
        section.close()
    if sites and all(site.external for site in sites.values()):
        found = "no site that trains: every site is external"
        sections[0].add("external", found, "one or more that train", "remove `external` of these")
    return tuple(sites.values())


def _audit(section: Section, trait: Trait) -> Audit | None:
    groups, margins = section.texts("groups"), section.numbers("margins")
    for name in sorted({"IID", trait.name} & set(groups)):
        found = f"`{name}` among the groups"
        section.add("groups", found, "neither IID nor the trait", "remove it from the list")
    for name in sorted(set(margins) - set(MARGINS)):
        section.source.unknown((*section.place, "margins", name), "metric", tuple(MARGINS))
    section.close()
    return Audit(groups, {**MARGINS, **margins}) if section.given else None
