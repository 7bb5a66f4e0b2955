from pathlib import Path
from tests.house import house, UPSTREAM_TOKEN

async def test_a_request_goes_through(tmp_path: Path) -> None:
    async with house(tmp_path) as gw:
        r = await gw.get("/public/x?y=1")
        assert r.status == 200, r
        r = await gw.get("/admin/x")
        assert r.status == 401, r
        r = await gw.get("/admin/x", token=gw.keys.token())
        assert r.status == 200, r
        assert gw.upstream.seen[-1].all("authorization") == [f"Bearer {UPSTREAM_TOKEN}"]
        print(r, gw.upstream.seen[-1], await gw.events())
