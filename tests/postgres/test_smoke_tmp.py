import pytest
from storage.database import Database
@pytest.mark.parametrize("n", range(10))
async def test_x(database: Database, n):
    async with database.connection() as c:
        assert await c.fetchval("select count(*) from tokens") == 0
    async with database.transaction() as c:
        await c.execute("insert into tokens (id,name,hash,scopes) values ('a','b',sha256('x'),'{read}')")
