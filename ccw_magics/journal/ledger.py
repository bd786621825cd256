"""What calls may cost, for several processes at once.

A call that has a cap reserves what it may cost before it is sent, and settles that when it has ended. A process that is
killed between leaves its reservation, which then counts as spent: the provider bills such a call. Where a call is both
recorded and not yet settled it counts twice for that moment, never not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ccw_magics.errors import CcwError
from ccw_magics.journal.file import LONG_WAIT_S, JournalFile
from ccw_magics.journal.rows import MICROSECOND, microseconds
from ccw_magics.journal.sums import UNPRICED

KEPT: Final = timedelta(days=32)
"""How long the ledger is kept: longer than the longest month."""
TOLERANCE_USD: Final = 1e-9
"""Ten calls of 0.1 fit into 1.0, whatever binary fractions make of it; below every price of a token."""
_HOUR_US: Final = timedelta(hours=1) // MICROSECOND
_IS_COST: Final = "typeof(cost_usd) = 'real' AND cost_usd > 0"
"""Nothing that a damaged row holds makes less of what was spent."""
_SPENT: Final = f"""
SELECT
    (SELECT TOTAL(cost_usd) FROM call WHERE at >= ?1 AND {_IS_COST})
    + (SELECT TOTAL(usd) FROM ledger WHERE at >= ?1 AND kind <> 'reserved'),
    (SELECT TOTAL(usd) FROM ledger WHERE at >= ?1 AND kind = 'reserved'),
    (SELECT {UNPRICED} FROM call WHERE at >= ?1)
"""  # noqa: S608 - constants
_RESERVE: Final = "INSERT INTO ledger (at, usd, kind) VALUES (?, ?, 'reserved')"
# A pruned call's cost is dated to the end of its hour: whoever counts from within that hour counts it.
_TAKE_OVER: Final = """
INSERT INTO ledger (at, usd, kind)
SELECT at - at % {hour} + {hour} - 1, cost_usd, 'pruned' FROM call WHERE {condition} AND at >= ? AND {is_cost}
ON CONFLICT (at) WHERE kind = 'pruned' DO UPDATE SET usd = usd + excluded.usd
"""


@dataclass(frozen=True)
class Spent:
    """What calls cost, in US dollars.

    Attributes:
        calls_usd: Of calls that have ended.
        reserved_usd: Of calls under way, at most; and of those whose process was killed.
        unpriced_calls: Recorded calls whose cost is not known, though there was something to pay for.
    """

    calls_usd: float
    reserved_usd: float
    unpriced_calls: int


class Overspent(Exception):
    """A call would pass the cap.

    Args:
        spent_usd: What calls cost that have ended.
        reserved_usd: What those under way may cost.
    """

    def __init__(self, spent_usd: float, reserved_usd: float) -> None:
        super().__init__(spent_usd, reserved_usd)
        self.spent_usd = spent_usd
        self.reserved_usd = reserved_usd


class Ledger:
    """What the calls of one project may cost. For several threads and processes, as its journal is.

    Args:
        file: The journal's.
    """

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def reserve(self, usd: float, *, since: datetime, cap_usd: float) -> int:
        """Reserve what a call may cost, unless that would pass the cap; no other process comes between.

        Args:
            usd: What it may cost, in US dollars.
            since: From when calls and reservations count, at most `KEPT` ago; local where it has no time zone.
            cap_usd: What all of them may cost together; passed by `TOLERANCE_USD` at most.

        Returns:
            What `settle` takes.

        Raises:
            Overspent: It would pass the cap, or is not a number; nothing is reserved.
            CcwError: The file cannot be written: what was spent is not known then. Nor is it where a damaged file was
                set aside, by whichever process: that is said once, and counted anew from the next time.
        """
        return self._file.write(lambda: self._reserve(usd, microseconds(since), cap_usd))

    def settle(self, id: int, usd: float | None) -> None:  # noqa: A002 - what the table calls it
        """End a reservation. Where that fails, `take_trouble` says why, and the reservation goes on to count.

        Args:
            id: What `reserve` returned; nothing happens where it was settled before.
            usd: What was spent and is in no recorded call: an estimate where the cost is unknown; None for nothing,
                or where the call is recorded with its cost.
        """
        values: list[float] = [id] if usd is None else [id, usd]
        if usd is None:
            statement = "DELETE FROM ledger WHERE id = ? AND kind = 'reserved'"
        else:
            statement = "UPDATE ledger SET usd = ?2, kind = 'settled' WHERE id = ?1 AND kind = 'reserved'"
        try:
            self._file.use(lambda: self._write(statement, values), None, wait_s=LONG_WAIT_S)
        except CcwError as error:
            self._file.tell_once("settling", f"what a call cost is not settled: {error.message}")

    def spent(self, since: datetime) -> Spent:
        """What was spent and is reserved.

        Args:
            since: From when calls and reservations count; local where it has no time zone.

        Raises:
            CcwError: The file cannot be read.
        """
        return self._file.use(lambda: self._spent(microseconds(since)), Spent(0.0, 0.0, 0))

    def take_over(self, condition: str, value: int) -> None:
        """Keep what calls cost that are about to be forgotten, in a transaction of the file's.

        Args:
            condition: Of SQL, on `call`.
            value: Its one parameter.
        """
        statement = _TAKE_OVER.format(hour=_HOUR_US, condition=condition, is_cost=_IS_COST)
        self._file.execute(statement, [value, _oldest()])

    def _reserve(self, usd: float, since: int, cap_usd: float) -> int:
        with self._file.transaction():
            lost = self._newly_lost()
            number = None if lost else self._reserved(usd, since, cap_usd)
        if number is None:  # outside the transaction: that it was said is on file
            message = f"what was spent today is not known: the journal was damaged, and set aside as {lost[-1]}"
            raise CcwError(message, hint="Ask again to begin counting anew.")
        return number

    def _reserved(self, usd: float, since: int, cap_usd: float) -> int:
        self._file.execute("DELETE FROM ledger WHERE at < ?", [_oldest()])
        spent = self._spent(since)
        # Asked this way round, what is not a number never fits.
        if not spent.calls_usd + spent.reserved_usd + usd <= cap_usd + TOLERANCE_USD:
            raise Overspent(spent.calls_usd, spent.reserved_usd)
        values = [microseconds(datetime.now(UTC)), usd]
        number = self._file.execute(_RESERVE, values).lastrowid
        assert number is not None
        return number

    def _newly_lost(self) -> list[Path]:
        """The damaged files of which nobody was told yet, the newest last.

        Found by their names, since another process may have set them aside, and ended.
        """
        aside = self._file.set_aside()
        told = {name for (name,) in self._file.execute("SELECT name FROM lost")} if aside else set()
        lost = [path for path in aside if path.name not in told]
        for path in lost:
            self._file.execute("INSERT INTO lost VALUES (?)", [path.name])
        return lost

    def _write(self, statement: str, values: list[float]) -> None:
        with self._file.transaction():
            self._file.execute(statement, values)

    def _spent(self, since: int) -> Spent:
        calls_usd, reserved_usd, unpriced = self._file.execute(_SPENT, [since]).fetchone()
        return Spent(calls_usd, reserved_usd, unpriced or 0)


def _oldest() -> int:
    return microseconds(datetime.now(UTC) - KEPT)
