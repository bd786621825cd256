"""Providers, endpoints and settings over HTTP: CCW's names in the answers, and the file that everybody reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from served import Site

from ccw_magics import Workspace

KEY = "sk-canary-0123456789abcdef"
MASK = "sk-…def"
NEW = {"name": "Mine", "type": "openai", "apiKey": KEY, "enabled": True}


def add(site: Site, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = site.request("POST", path, body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert told.pop("success") is True
    ((_, item),) = told.items()
    return dict(item)


def change(site: Site, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = site.request("PUT", path, body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_provider_is_added_shown_changed_and_deleted(site: Site) -> None:
    made = add(site, "/providers", NEW)
    path = f"/providers/{made['id']}"
    assert (made["name"], made["type"], made["apiKey"], made["enabled"]) == ("Mine", "openai", MASK, True)
    assert site.get("/providers") == {"providers": [made], "count": 1}
    assert site.get(path) == made
    changed = change(site, path, {"name": "Ours", "enabled": False})["provider"]
    assert (changed["name"], changed["enabled"], changed["apiKey"]) == ("Ours", False, MASK)
    assert site.request("DELETE", path).json() == {"success": True, "message": "Provider deleted", "endpoints": []}
    assert site.get("/providers") == {"providers": [], "count": 0}


def test_a_kernel_sees_a_change_at_its_next_use_and_the_routes_see_a_kernels(site: Site) -> None:
    kernel = Workspace(site.root)
    assert kernel.config.get_all_providers() == []
    made = add(site, "/providers", NEW)
    (seen,) = kernel.config.get_all_providers()
    assert (seen.id, seen.api_key.reveal()) == (made["id"], KEY)
    kernel.config.update_provider(seen.id, {"name": "by the kernel"})
    assert site.get(f"/providers/{seen.id}")["name"] == "by the kernel"


def test_what_is_sent_back_as_it_was_shown_stays_as_it_is(site: Site) -> None:
    secrets = {
        **NEW,
        "apiBase": f"https://user:{KEY}@127.0.0.1/v1",
        "advancedSettings": {"customHeaders": {"X-Own": KEY}, "proxy": f"http://u:{KEY}@127.0.0.1:1", "timeout": 60},
        "apiKeys": [{"id": "second", "key": KEY, "enabled": True}],
        "myToken": KEY,
        "elsewhere": {"password": KEY, "port": 1, "all": [KEY[:3], {"secret": KEY}]},
    }
    made = add(site, "/providers", secrets)
    assert KEY not in str(made)
    assert KEY[7:] not in str(made)
    changed = change(site, f"/providers/{made['id']}", {**made, "name": "New"})["provider"]
    assert {**changed, "updatedAt": ""} == {**made, "name": "New", "updatedAt": ""}
    stored = site.store.get_provider(made["id"])
    assert stored is not None
    assert [secret.reveal() for secret in stored.secrets()] == [KEY, KEY, KEY, f"http://u:{KEY}@127.0.0.1:1"]
    assert stored.api_base == secrets["apiBase"]
    assert stored.model_extra == {name: secrets[name] for name in ("myToken", "elsewhere")}


def test_a_row_of_asterisks_is_ccws_mask_and_keeps_the_key(site: Site) -> None:
    made = add(site, "/providers", NEW)
    change(site, f"/providers/{made['id']}", {"apiKey": "***", "name": "New"})
    stored = site.store.get_provider(made["id"])
    assert stored is not None
    assert (stored.name, stored.api_key.reveal()) == ("New", KEY)


def test_a_provider_that_is_disabled_would_not_get_a_call_through(site: Site) -> None:
    made = add(site, "/providers", {**NEW, "enabled": False, "apiBase": "http://127.0.0.1:9/v1"})
    told = site.request("POST", f"/providers/{made['id']}/test").json()
    assert (told["success"], told["provider"], told["error"]) == (False, "openai", "Provider is disabled")


def test_null_takes_a_value_away(site: Site) -> None:
    made = add(site, "/providers", {**NEW, "apiBase": "http://127.0.0.1:1"})
    assert "apiBase" not in change(site, f"/providers/{made['id']}", {"apiBase": None})["provider"]


def test_an_endpoint_is_added_shown_changed_and_deleted(site: Site) -> None:
    provider = add(site, "/providers", NEW)
    strategy = {"enabled": True, "ttlMinutes": 60, "maxSizeKB": 512, "filePatterns": ["*.md"]}
    sent = {"id": "mine", "name": "M", "providerId": provider["id"], "model": "gpt-4o", "cacheStrategy": strategy}
    made = add(site, "/endpoints", sent)
    assert {name: made[name] for name in sent} == {**sent, "cacheStrategy": {**strategy, "layout": "stable"}}
    assert site.get("/endpoints") == {"endpoints": [made], "count": 1}
    assert site.get("/endpoints/mine") == made
    assert change(site, "/endpoints/mine", {"model": "gpt-4o-mini"})["endpoint"]["model"] == "gpt-4o-mini"
    assert change(site, "/config/default-endpoint", {"endpointId": "mine"}) == {
        "success": True,
        "defaultEndpoint": "mine",
    }
    assert site.get("/config")["defaultEndpoint"] == "mine"
    assert site.request("DELETE", "/endpoints/mine").json()["message"] == "Endpoint deleted"
    assert site.get("/config/default-endpoint") == {"defaultEndpoint": None}


def test_a_deleted_provider_takes_its_endpoints_along_and_says_so(site: Site) -> None:
    provider = add(site, "/providers", NEW)
    add(site, "/endpoints", {"id": "mine", "providerId": provider["id"], "model": "gpt-4o"})
    assert site.request("DELETE", f"/providers/{provider['id']}").json()["endpoints"] == ["mine"]
    assert site.get("/endpoints")["count"] == 0


@pytest.mark.parametrize("body", [{"endpointId": None}, {}], ids=["null", "nothing"])
def test_the_default_is_cleared(site: Site, body: dict[str, Any]) -> None:
    site.store.set_default_endpoint("local")
    assert change(site, "/config/default-endpoint", body) == {"success": True, "defaultEndpoint": None}


def test_the_caches_settings_are_changed_in_part(site: Site) -> None:
    changed = change(site, "/config/cache", {"maxTotalSizeMB": 50})
    assert changed == {
        "success": True,
        "settings": {"enabled": True, "cacheDir": "~/.ccw/cache/context", "maxTotalSizeMB": 50},
    }
    assert site.get("/config/cache") == changed["settings"]
    assert change(site, "/config/cache", {"maxTotalSizeMB": None})["settings"]["maxTotalSizeMB"] == 100


def test_the_whole_config_is_shown_without_keys(site: Site) -> None:
    made = add(site, "/providers", {**NEW, "apiKeys": [{"id": "second", "key": KEY}]})
    config = site.get("/config")
    assert config["providers"] == [made]
    assert KEY not in str(config)
    assert KEY in site.store.path.read_text()


def test_a_pack_is_read_piece_by_piece(site: Site) -> None:
    (site.root / "a.md").write_text("für immer\n" * 50)
    workspace = Workspace(site.root)
    home = site.served.home / ".ccw" / "cache" / "context"
    workspace.config.update_global_cache_settings({"cache_dir": str(home)})
    workspace.config.trust()
    pack = workspace.pack(["a.md"])
    workspace.cache.close()
    pieces, offset = [], 0
    while offset is not None:
        page = site.get(f"/cache/{pack.session_id}", offset=offset, limit=100)
        assert set(page) == {"content", "offset", "limit", "total_bytes", "has_more", "next_offset"}
        assert page["has_more"] is (page["next_offset"] is not None)
        pieces.append(page["content"])
        offset = page["next_offset"]
    assert "".join(pieces) == pack.text
    assert len(pieces) > 5


def test_the_cache_is_counted_and_cleared(site: Site) -> None:
    counted = site.get("/cache/stats")
    assert set(counted) == {"entries", "total_bytes", "oldest_session", "newest_session", "max_bytes", "directory"}
    assert site.request("POST", "/cache/clear").json() == {"success": True, "removed": counted["entries"]}


@pytest.mark.parametrize(("kind", "some"), [("openai", "gpt-4o"), ("local", "SmolLM2-135M-Instruct"), ("custom", None)])
def test_models_of_a_type(site: Site, kind: str, some: str | None) -> None:
    told = site.get(f"/models/{kind}")
    assert (told["providerType"], told["count"]) == (kind, len(told["models"]))
    if some:
        assert {"id": some, "name": some, "provider": kind} in told["models"]


def test_a_folder_below_belongs_to_its_project(site: Site) -> None:
    folder = site.root / "src" / "deep"
    folder.mkdir(parents=True)
    made = add(site, "/providers", NEW)
    for path in (f"{site.name}/src/deep", f"/{site.name}", f"{site.name}/src/.."):
        told = site.served.request("GET", "/providers", params={"path": path}).json()
        assert told["providers"] == [made]


def test_the_servers_root_is_meant_where_nothing_is_said(site: Site, tmp_path: Path) -> None:
    assert site.served.request("GET", "/providers").json() == {"providers": [], "count": 0}
