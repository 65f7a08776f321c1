"""The loops over every letter of a large part, compiled: where its values stand, which are plain, how COPY reads them.

Rule: nothing is decided here. Where a loop is not certain that a line is simply a row, or a value written in the
plainest way, it says so, and those who decide (include/ingest/opening.py, readers.py) look at it themselves. A loop
looks at a value only between its begin and its end, and writes only into arrays that were made for what it writes.
Reason: a part has millions of letters, and each of these loops costs about as much as copying them once.
How to change: these functions are compiled when they are first called on a machine (a few seconds; the result is kept
beside this file, or where NUMBA_CACHE_DIR says). What they answer is held against the exact readers
and the csv module by tests/unit/test_ingest_plain_texts.py: make one wider only for what those take.
Texts are UTF-8. A column of values is `begins` and `lengths`: where in `letters` each of them begins and how many bytes
it has; -1 is no value.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_compiled = njit(nogil=True, cache=True)

# A place without a sign is not asked whether it counts from the end: a third of the time.
_UNSIGNED = np.uint64
_1, _2, _3, _4, _10, _BYTE = map(_UNSIGNED, (1, 2, 3, 4, 10, 255))

SPACE, PLUS, MINUS, POINT, AT = ord(" "), ord("+"), ord("-"), ord("."), ord("@")
ZERO, NINE, LARGE_A, LARGE_Z, SMALL_A, SMALL_Z = ord("0"), ord("9"), ord("A"), ord("Z"), ord("a"), ord("z")
UNDERSCORE, TILDE, RETURN, LINE_END = ord("_"), ord("~"), ord("\r"), ord("\n")
# what a letter is the end of
_OF_NOTHING, _OF_VALUE, _OF_LINE, _OF_RETURN = 0, 1, 2, 3


@_compiled
def values_of_lines(
    letters: np.ndarray,
    separator: int,
    has_returns: bool,
    longest: int,
    begins: np.ndarray,
    lengths: np.ndarray,
    line_begins: np.ndarray,
) -> bool:
    """Where the values of each line stand, one row of `begins` and `lengths` a column, and where each line begins.

    `letters` ends in the end of a line, and there is room for as many lines as it has ends of lines. False when a line
    is not as wide as there are columns, may be blank or too long, or does not end as the others do.
    """
    kinds = np.zeros(256, np.uint8)
    kinds[separator], kinds[LINE_END], kinds[RETURN] = _OF_VALUE, _OF_LINE, _OF_RETURN
    last_place, place, line, begin, size = len(begins) - 1, 0, _UNSIGNED(0), _UNSIGNED(0), _UNSIGNED(len(letters))
    line_begins[0] = 0
    for at in range(size):
        kind = kinds[letters[at]]
        if kind == _OF_NOTHING:
            continue
        if kind == _OF_VALUE:
            if place == last_place:
                return False
            begins[place, line] = begin
            lengths[place, line] = np.int64(at - begin) if at > begin else -1
            begin, place = at + _1, place + 1
        elif kind == _OF_LINE:
            if place != last_place or at - _UNSIGNED(line_begins[line]) > longest:
                return False
            end = at
            if has_returns:
                end = at - _1
                if at == begin or letters[end] != RETURN:
                    return False
            seen = _UNSIGNED(line_begins[line])
            while seen < end and (letters[seen] <= SPACE or letters[seen] > TILDE or kinds[letters[seen]] == _OF_VALUE):
                seen += _1
            if seen == end:
                return False
            begins[place, line] = begin
            lengths[place, line] = np.int64(end - begin) if end > begin else -1
            begin, place, line = at + _1, 0, line + _1
            line_begins[line] = begin
        elif not has_returns or at + _1 == size or letters[at + _1] != LINE_END:
            return False
    return True


@_compiled
def recoded(letters: np.ndarray, others: np.ndarray, written: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Letters of one byte each in UTF-8; of each of the `others` `written` has the bytes and `sizes` how many.

    All but the others are ASCII.
    """
    size = len(letters)
    for at in others:
        size += sizes[letters[at]] - 1
    recoded, to, begin = np.empty(size, np.uint8), 0, 0
    for at in others:
        recoded[to : to + at - begin] = letters[begin:at]
        to += at - begin
        letter = letters[at]
        for place in range(sizes[letter]):
            recoded[to + place] = written[letter, place]
        to += sizes[letter]
        begin = at + 1
    recoded[to:] = letters[begin:]
    return recoded


# -- the plainest ways of writing --------------------------------------------------------------------------------------


@_compiled
def plain_texts(
    letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray, longest: int, refused: int, needs_letter: bool
) -> np.ndarray:
    """Printable ASCII with single spaces within and none around it, without `refused`."""
    is_plain = np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        length = lengths[row]
        if length <= 0 or length > longest:
            continue
        before, has_letter, is_so, begin = SPACE, not needs_letter, True, _UNSIGNED(begins[row])
        for at in range(begin, begin + _UNSIGNED(length)):
            letter = letters[at]
            if letter < SPACE or letter > TILDE or letter == refused or (letter == SPACE and before == SPACE):
                is_so = False
                break
            if LARGE_A <= letter <= LARGE_Z or SMALL_A <= letter <= SMALL_Z:
                has_letter = True
            before = letter
        is_plain[row] = is_so and has_letter and before != SPACE
    return is_plain


@_compiled
def plain_initials(letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray, most: int) -> np.ndarray:
    """`J.P.`: capitals, each with its point."""
    is_plain = np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        length = lengths[row]
        if length <= 0 or length % 2 or length > 2 * most:
            continue
        is_so = True
        for at in range(begins[row], begins[row] + length, 2):
            if not LARGE_A <= letters[at] <= LARGE_Z or letters[at + 1] != POINT:
                is_so = False
                break
        is_plain[row] = is_so
    return is_plain


@_compiled
def plain_emails(letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray, longest: int) -> np.ndarray:
    """`j.de-vries@post.example` in small letters, digits, `_` and `+`; no two of `.`, `-` and `@` beside each other."""
    is_plain = np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        length = lengths[row]
        if length <= 0 or length > longest:
            continue
        at_sign, points_behind, last_point, is_so, before = -1, 0, -1, True, POINT
        begin = begins[row]
        for at in range(begin, begin + length):
            letter = letters[at]
            is_word = SMALL_A <= letter <= SMALL_Z or ZERO <= letter <= NINE
            if letter == POINT:
                if before == POINT or before == AT or (at_sign >= 0 and before == MINUS):
                    is_so = False
                    break
                if at_sign >= 0:
                    points_behind += 1
                    last_point = at
            elif letter == AT:
                if at_sign >= 0 or at == begin or before == POINT:
                    is_so = False
                    break
                at_sign = at
            elif letter == MINUS:
                if at_sign >= 0 and (before == POINT or before == AT or before == MINUS):
                    is_so = False
                    break
            elif not is_word and (at_sign >= 0 or (letter != UNDERSCORE and letter != PLUS)):
                is_so = False
                break
            before = letter
        end = begin + length
        if not is_so or not points_behind or not 3 <= end - last_point <= 25:
            continue
        for at in range(last_point + 1, end):
            if not SMALL_A <= letters[at] <= SMALL_Z:
                is_so = False
        is_plain[row] = is_so
    return is_plain


@_compiled
def plain_days(
    letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray, between: int, is_year_first: bool
) -> tuple[np.ndarray, np.ndarray]:
    """`05-03-2024` or `2024-03-05` with this sign between its parts, of 1900 to 2099: days since 1970-01-01."""
    days, is_plain = np.zeros(len(begins), np.int32), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        if lengths[row] != 10:
            continue
        begin = _UNSIGNED(begins[row])
        parts = (0, 0, 0)
        part, value, is_so = 0, 0, True
        first, second = (4, 7) if is_year_first else (2, 5)
        for place in range(10):
            letter = letters[begin + _UNSIGNED(place)]
            if place == first or place == second:
                if letter != between:
                    is_so = False
                    break
                parts = (value, 0, 0) if part == 0 else (parts[0], value, 0)
                part, value = part + 1, 0
            elif ZERO <= letter <= NINE:
                value = value * 10 + letter - ZERO
            else:
                is_so = False
                break
        if not is_so:
            continue
        year, month, day = (parts[0], parts[1], value) if is_year_first else (value, parts[1], parts[0])
        if not (1900 <= year < 2100 and 1 <= month <= 12 and 1 <= day):
            continue
        is_leap_year = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
        last = 31
        if month == 2:
            last = 29 if is_leap_year else 28
        elif month == 4 or month == 6 or month == 9 or month == 11:
            last = 30
        if day > last:
            continue
        # years that begin in March have their odd day at the end: a day's number is then a sum
        of_march = year - (1 if month <= 2 else 0)
        day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
        days[row] = of_march * 365 + of_march // 4 - of_march // 100 + of_march // 400 + day_of_year - 719468
        is_plain[row] = True
    return days, is_plain


@_compiled
def plain_cents(
    letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray, thousands: int, decimals: int
) -> tuple[np.ndarray, np.ndarray]:
    """`1.234,56`, `350,5`, `€ 1624`: up to nine digits before the decimals, in threes when a sign stands between them.

    `thousands` is 0 where no sign may.
    """
    cents, is_plain = np.zeros(len(begins), np.int64), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        value, digits, behind, since, groups, is_so = 0, 0, -1, 0, 0, lengths[row] > 0
        begin, end = begins[row], begins[row] + lengths[row]
        if end - begin > 3 and letters[begin] == 0xE2 and letters[begin + 1] == 0x82 and letters[begin + 2] == 0xAC:
            begin += 4 if letters[begin + 3] == SPACE else 3
        for at in range(begin, end):
            letter = letters[at]
            if ZERO <= letter <= NINE:
                value = value * 10 + letter - ZERO
                if behind >= 0:
                    behind += 1
                else:
                    digits, since = digits + 1, since + 1
                if digits > 9 or behind > 2:
                    is_so = False
                    break
            elif letter == decimals and behind < 0 and digits and (not groups or since == 3):
                behind = 0
            elif thousands and letter == thousands and behind < 0 and groups < 2 and 1 <= since <= 3:
                if groups and since != 3:
                    is_so = False
                    break
                groups, since = groups + 1, 0
            else:
                is_so = False
                break
        if not is_so or not digits or behind == 0 or (groups and behind < 0 and since != 3):
            continue
        if behind < 0:
            value *= 100
        elif behind == 1:
            value *= 10
        cents[row] = value
        is_plain[row] = True
    return cents, is_plain


@_compiled
def plain_numbers(letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One to five digits that do not begin with a zero."""
    numbers, is_plain = np.zeros(len(begins), np.int64), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        length = lengths[row]
        if not 1 <= length <= 5 or letters[begins[row]] == ZERO:
            continue
        value, is_so = 0, True
        for at in range(begins[row], begins[row] + length):
            letter = letters[at]
            if not ZERO <= letter <= NINE:
                is_so = False
                break
            value = value * 10 + letter - ZERO
        if is_so:
            numbers[row], is_plain[row] = value, True
    return numbers, is_plain


@_compiled
def plain_postcodes(letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`2712AB`, with or without a space before its letters, in six letters; SA, SD and SS are never used."""
    written, is_plain = np.zeros((len(begins), 6), np.uint8), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        begin, length = begins[row], lengths[row]
        if not (length == 6 or (length == 7 and letters[begin + 4] == SPACE)) or letters[begin] == ZERO:
            continue
        is_so = True
        for place in range(6):
            letter = letters[begin + place] if place < 4 else letters[begin + length - 6 + place]
            if place < 4:
                is_so = is_so and ZERO <= letter <= NINE
            else:
                if SMALL_A <= letter <= SMALL_Z:
                    letter -= SMALL_A - LARGE_A
                is_so = is_so and LARGE_A <= letter <= LARGE_Z
            written[row, place] = letter
        second = written[row, 5]
        is_plain[row] = is_so and not (
            written[row, 4] == ord("S") and (second == ord("A") or second == ord("D") or second == ord("S"))
        )
    return written, is_plain


@_compiled
def plain_additions(
    letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`A`, `3`, `A-3`, `bis`: a letter (as a capital), up to four digits, both, or a word.

    Answers the letter, whether there is none, where the rest begins and how long it is, and what is plain.
    """
    written, has_none = np.zeros((len(begins), 1), np.uint8), np.ones(len(begins), np.bool_)
    rest, rest_lengths = begins.copy(), np.full(len(begins), -1, np.int32)
    is_plain = np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        begin, length = begins[row], lengths[row]
        if not 1 <= length <= 10:
            continue
        end, at = begin + length, begin
        while at < end and (LARGE_A <= letters[at] <= LARGE_Z or SMALL_A <= letters[at] <= SMALL_Z):
            at += 1
        of_word = at - begin
        if of_word > 1:
            if at == end:
                rest_lengths[row], is_plain[row] = length, True
            continue
        if of_word and at < end and letters[at] == MINUS:
            at += 1
            if at == end:
                continue
        digits = end - at
        is_so = digits <= 4
        while at < end:
            if not ZERO <= letters[at] <= NINE:
                is_so = False
            at += 1
        if not is_so:
            continue
        if of_word:
            letter = letters[begin]
            written[row, 0] = letter - (SMALL_A - LARGE_A) if SMALL_A <= letter <= SMALL_Z else letter
            has_none[row] = False
        if digits:
            rest[row], rest_lengths[row] = end - digits, digits
        is_plain[row] = True
    return written, has_none, rest, rest_lengths, is_plain


@_compiled
def plain_phones(letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`06-22 33 44 55`, `0031…`, `+31 (0)6…`: the nine digits of the national number; its first is no zero.

    Behind a zero or the country code stand nine digits with spaces and dashes between them.
    """
    national, is_plain = np.zeros(len(begins), np.int64), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        at, end = begins[row], begins[row] + lengths[row]
        if lengths[row] < 10:
            continue
        if letters[at] == PLUS:
            if letters[at + 1] != ZERO + 3 or letters[at + 2] != ZERO + 1:
                continue
            at += 3
            if letters[at] == SPACE:
                at += 1
            if end - at > 3 and letters[at] == ord("(") and letters[at + 1] == ZERO and letters[at + 2] == ord(")"):
                at += 3
                if letters[at] == SPACE:
                    at += 1
        elif letters[at] == ZERO and letters[at + 1] == ZERO:
            if letters[at + 2] != ZERO + 3 or letters[at + 3] != ZERO + 1:
                continue
            at += 4
        elif letters[at] == ZERO:
            at += 1
        else:
            continue
        if letters[at] <= ZERO or letters[at] > NINE:
            continue
        value, digits, is_so = 0, 0, True
        while at < end:
            letter = letters[at]
            if ZERO <= letter <= NINE and digits < 9:
                value, digits = value * 10 + letter - ZERO, digits + 1
            elif letter != SPACE and letter != MINUS:
                is_so = False
                break
            at += 1
        if is_so and digits == 9:
            national[row], is_plain[row] = value, True
    return national, is_plain


# -- put together ------------------------------------------------------------------------------------------------------


@_compiled
def written_digits(numbers: np.ndarray, before: np.ndarray, digits: int) -> np.ndarray:
    """Numbers in so many digits, each with the same letters before it: one row of letters a number."""
    written = np.empty((len(numbers), len(before) + digits), np.uint8)
    for row in range(len(numbers)):
        written[row, : len(before)] = before
        rest = _UNSIGNED(numbers[row])
        for place in range(len(before) + digits - 1, len(before) - 1, -1):
            written[row, place] = ZERO + rest % _10
            rest //= _10
    return written


@_compiled
def side_by_side(
    letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray, rows: np.ndarray, between: int
) -> np.ndarray:
    """The values of these rows one behind the other, with a sign between them; no value is nothing."""
    size = max(len(rows) - 1, 0)
    for row in rows:
        size += max(lengths[row], 0)
    written, to = np.empty(size, np.uint8), _UNSIGNED(0)
    for number, row in enumerate(rows):
        if number:
            written[to] = between
            to += _1
        begin, length = _UNSIGNED(begins[row]), _UNSIGNED(max(lengths[row], 0))
        for place in range(length):
            written[to + place] = letters[begin + place]
        to += length
    return written


@_compiled
def rows_for_copy(
    letters: np.ndarray,
    begins: np.ndarray,
    lengths: np.ndarray,
    rows: np.ndarray,
    first: np.ndarray,
    before: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """These rows as COPY reads binary ones: of each what stands `before`, then every column's value with its length.

    What comes `first` and `last` stands around all of them. No value is longer than 65,535 bytes.
    """
    columns, size = len(begins), len(first) + len(last)
    for column in range(columns):
        for row in rows:
            size += max(lengths[column, row], 0)
    written, to = np.empty(size + len(rows) * (len(before) + 4 * columns), np.uint8), _UNSIGNED(len(first))
    written[: len(first)] = first
    same = _UNSIGNED(len(before))
    for row in rows:
        for place in range(same):
            written[to + place] = before[place]
        to += same
        for column in range(columns):
            length_or_none = lengths[column, row]
            if length_or_none < 0:
                written[to], written[to + _1], written[to + _2], written[to + _3] = 255, 255, 255, 255
                to += _4
                continue
            begin, length = _UNSIGNED(begins[column, row]), _UNSIGNED(length_or_none)
            written[to], written[to + _1] = 0, 0
            written[to + _2], written[to + _3] = (length >> _UNSIGNED(8)) & _BYTE, length & _BYTE
            to += _4
            for place in range(length):
                written[to + place] = letters[begin + place]
            to += length
    written[len(written) - len(last) :] = last
    return written
