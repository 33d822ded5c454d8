"""Which country and state a North American area code belongs to.

Area codes do not cross states. The library that knows finer places needs 100 MB and 0.2 s for them,
so this table holds what its data says by area code; a test compares the two.
"""

from typing import Final, NamedTuple


class Place(NamedTuple):
    """Where a number is: an ISO 3166 alpha-2 country and two letters of a state, where known."""

    country: str
    state: str | None


_STATES = {
    "AK": "907",
    "AL": "205 251 256 334 659 938",
    "AR": "327 479 501 870",
    "AZ": "480 520 602 623 928",
    "CA": (
        "209 213 279 310 323 341 350 369 408 415 424 442 510 530 559 562 619 626 628 650 657 "
        "661 669 707 714 738 747 760 805 818 820 831 840 858 909 916 925 949 951"
    ),
    "CO": "303 719 720 748 970 983",
    "CT": "203 475 860 959",
    "DC": "202 771",
    "DE": "302",
    "FL": (
        "239 305 321 324 352 386 407 448 561 645 656 689 727 728 754 772 786 813 850 863 904 "
        "941 954"
    ),
    "GA": "229 404 470 478 678 706 762 770 912 943",
    "HI": "808",
    "IA": "319 515 563 641 712",
    "ID": "208 986",
    "IL": "217 224 309 312 331 447 464 618 630 708 730 773 779 815 847 872",
    "IN": "219 260 317 463 574 765 812 930",
    "KS": "316 620 785 913",
    "KY": "270 364 502 606 859",
    "LA": "225 318 337 504 985",
    "MA": "339 351 413 508 617 774 781 857 978",
    "MD": "227 240 301 410 443 667",
    "ME": "207",
    "MI": "231 248 269 313 517 586 616 734 810 906 947 989",
    "MN": "218 320 507 612 651 763 952",
    "MO": "235 314 417 557 573 636 660 816 975",
    "MS": "228 601 662 769",
    "MT": "406",
    "NC": "252 336 472 704 743 828 910 919 980 984",
    "ND": "701",
    "NE": "308 402 531",
    "NH": "603",
    "NJ": "201 551 609 640 732 848 856 862 908 973",
    "NM": "505 575",
    "NV": "702 725 775",
    "NY": "212 315 329 332 347 363 516 518 585 607 631 646 680 716 718 838 845 914 917 929 934",
    "OH": "216 220 234 283 326 330 380 419 440 513 567 614 740 937",
    "OK": "405 539 572 580 918",
    "OR": "458 503 541 971",
    "PA": "215 223 267 272 412 445 484 570 582 610 717 724 814 835 878",
    "RI": "401",
    "SC": "803 821 839 843 854 864",
    "SD": "605",
    "TN": "423 615 629 731 865 901 931",
    "TX": (
        "210 214 254 281 325 346 361 409 430 432 469 512 682 713 726 737 806 817 830 832 903 "
        "915 936 940 945 956 972 979"
    ),
    "UT": "385 435 801",
    "VA": "276 434 540 571 686 703 757 804 826 948",
    "VT": "802",
    "WA": "206 253 360 425 509 564",
    "WI": "262 274 353 414 534 608 715 920",
    "WV": "304 681",
    "WY": "307",
}

_PROVINCES = {
    "AB": "368 403 587 780 825",
    "BC": "236 250 257 604 672 778",
    "MB": "204 431 584",
    "NB": "428 506",
    "NL": "709 879",
    "NS": "782 902",
    "ON": "226 249 289 343 365 382 416 437 519 548 613 647 683 705 742 753 807 905 942",
    "QC": "263 273 354 367 418 438 450 468 514 579 581 819 873",
    "SK": "306 474 639",
}

_COUNTRIES = {
    "AG": "268",
    "AI": "264",
    "AS": "684",
    "BB": "246",
    "BM": "441",
    "BS": "242",
    "DM": "767",
    "DO": "809 829 849",
    "GD": "473",
    "GU": "671",
    "JM": "658 876",
    "KN": "869",
    "KY": "345",
    "LC": "758",
    "MP": "670",
    "MS": "664",
    "PR": "787 939",
    "SX": "721",
    "TC": "649",
    "TT": "868",
    "VC": "784",
    "VG": "284",
    "VI": "340",
}

_CANADA_WITHOUT_STATE = "600 622 633 867"

# Two provinces share 902, three territories share 867: there the exchange decides.
_PEI_EXCHANGES = "367 368 370 393 436 566 569 626 628 629 687 836 838 853 859 882 888 892 894 963"
_NORTHERN_EXCHANGES = {
    "NT": "669 695 766 777 872 873 874 920",
    "NU": "645 979",
    "YT": "393 456 536 633 667 668 993",
}

_US_TERRITORIES = frozenset({"AS", "GU", "MP", "PR", "VI"})


def _table() -> dict[str, Place]:
    table = {code: Place("US", state) for state, codes in _STATES.items() for code in codes.split()}
    for province, codes in _PROVINCES.items():
        table.update((code, Place("CA", province)) for code in codes.split())
    for country, codes in _COUNTRIES.items():
        state = country if country in _US_TERRITORIES else None
        table.update((code, Place(country, state)) for code in codes.split())
    table.update((code, Place("CA", None)) for code in _CANADA_WITHOUT_STATE.split())
    return table


def _exchanges() -> dict[str, Place]:
    exchanges = {f"902{exchange}": Place("CA", "PE") for exchange in _PEI_EXCHANGES.split()}
    for territory, codes in _NORTHERN_EXCHANGES.items():
        exchanges.update((f"867{exchange}", Place("CA", territory)) for exchange in codes.split())
    return exchanges


_BY_AREA: Final = _table()
_BY_EXCHANGE: Final = _exchanges()
STATES: Final = frozenset(
    place.state for place in (*_BY_AREA.values(), *_BY_EXCHANGE.values()) if place.state
)
"""Two letters of every state, province and territory that has an area code of its own."""

_UNASSIGNED: Final = Place("US", None)


AMERICAN_STATES: Final = tuple(sorted(_STATES))
"""The states of the United States and the District of Columbia."""


def area_codes_of(state: str) -> tuple[str, ...]:
    """The area codes of a state of the United States; none for anything else."""
    return tuple(_STATES.get(state, "").split())


def place_of(area_code: str, exchange: str) -> Place:
    """Where the number with this area code and exchange (three digits each) is.

    Toll-free, premium and personal codes are in the United States without a state, and so are codes
    that nobody is known to have: most new ones are American.
    """
    place = _BY_AREA.get(area_code, _UNASSIGNED)
    if area_code in {"867", "902"}:
        return _BY_EXCHANGE.get(area_code + exchange, place)
    return place
