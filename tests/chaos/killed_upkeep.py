"""A look at alerts, or a change that is due, in a process that is killed at a given step."""

import sys

from auction.web.management.due import DueChanges
from config.secret_box import SecretBox
from storage.database import Database
from tests.chaos.executioner import Executioner, play_as_told
from tests.postgres.test_alerts import a_watch

BOX = SecretBox(bytes(range(32)))


async def play(dsn: str, executioner: Executioner, part: str) -> None:
    database = await Database.connect(dsn, max_size=3)
    watch = await a_watch(database)
    executioner.watch_the_database()
    if part == "look":
        await watch.look()
    else:
        while await DueChanges(database, _the_box).apply_next():
            pass
    await database.close()


async def _the_box() -> SecretBox:
    return BOX


if __name__ == "__main__":
    play_as_told(lambda executioner, part: play(sys.argv[1], executioner, part))
