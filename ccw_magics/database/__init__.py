"""One sqlite file that several processes share."""

from __future__ import annotations

from ccw_magics.database.file import BUSY_S, DAMAGED, Database
from ccw_magics.database.mounts import is_on_network
from ccw_magics.database.trouble import is_busy, is_damage, is_out_of_order

__all__ = ["BUSY_S", "DAMAGED", "Database", "is_busy", "is_damage", "is_on_network", "is_out_of_order"]
