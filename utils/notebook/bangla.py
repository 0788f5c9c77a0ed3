"""Numbers as Bangla writes them."""

import unicodedata

DIGITS = str.maketrans("0123456789", "০১২৩৪৫৬৭৮৯")


def bn(value: object) -> str:
    """The value with Bangla digits; whole numbers are grouped by thousand, lakh and crore.

    >>> bn(1234567), bn(0.98), bn("2017")
    ('১২,৩৪,৫৬৭', '০.৯৮', '২০১৭')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = lakh(value)
    return str(value).translate(DIGITS)


def lakh(number: int) -> str:
    """Groups digits as in South Asia: three, then twos (1234567 → 12,34,567)."""
    sign, digits = ("-" if number < 0 else ""), str(abs(number))
    head, tail = digits[:-3], digits[-3:]
    groups = [head[max(i - 2, 0) : i] for i in range(len(head), 0, -2)][::-1]
    return sign + ",".join([*groups, tail])


def nfc(text: str) -> str:
    """The one form of Unicode in which the course compares text: the same letters may be stored in several ways."""
    return unicodedata.normalize("NFC", text)
