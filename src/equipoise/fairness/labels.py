"""Names of groups as people read them."""

from equipoise.solvers.cells import names

EVERYBODY = "everybody"
EVERYBODY_ELSE = "everybody else"

_LEVELS = {"sex": ("female", "male")}


def level(column: str, value: int) -> str:
    """Return the name of the people with a 0 or a 1 in a two-valued column.

    >>> level("sex", 0), level("smoker", 1)
    ('sex=female', 'smoker=yes')
    """
    return f"{column}={_LEVELS.get(column.casefold(), ('no', 'yes'))[value]}"


def cells(columns: tuple[str, ...]) -> dict[str, str]:
    """Return the label of each cell of an audit by its name; "" is everybody.

    >>> cells(("sex",))
    {'': 'everybody', 'sex=0': 'sex=female', 'sex=1': 'sex=male'}
    """
    labels = [EVERYBODY, *(level(column, value) for column in columns for value in (0, 1))]
    return dict(zip(names(columns), labels, strict=True))


def at_site(site: str, label: str) -> str:
    """Return the name of a site's people, or of a group of them.

    >>> at_site("FIN", "everybody"), at_site("FIN", "sex=female")
    ('site=FIN', 'site=FIN, sex=female')
    """
    return f"site={site}" if label == EVERYBODY else f"site={site}, {label}"
