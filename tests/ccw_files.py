"""Config files as CCW wrote them, each with the place in its source that did; what `JSON.stringify` leaves out is out."""

from __future__ import annotations

from typing import Any

KEY = "sk-canary-0123456789abcdef"
THEN = "2025-12-24T09:00:00.000Z"
STAMPS = {"createdAt": THEN, "updatedAt": THEN}
CACHE = {"enabled": True, "cacheDir": "~/.ccw/cache/context", "maxTotalSizeMB": 100}
STRATEGY = {"enabled": True, "ttlMinutes": 60, "maxSizeKB": 512, "filePatterns": ["*.md", "*.ts"]}
BARE = {
    "id": "openai-1766566800000",
    "name": "My OpenAI",
    "type": "openai",
    "apiKey": "${OPENAI_API_KEY}",
    "enabled": True,
}
ENDPOINT = {"id": "my-gpt4o", "name": "GPT-4o", "providerId": BARE["id"], "model": "gpt-4o"}
FORM = {  # ccw/frontend/src/components/api-settings/ProviderModal.tsx, handleSubmit
    "name": "My OpenAI",
    "type": "openai",
    "apiKey": KEY,
    "enabled": True,
    "advancedSettings": {"timeout": 300, "maxRetries": 0},
    "llmModels": [],
    "embeddingModels": [],
    "id": "openai-1766566800000",
}
KEYS = [
    # ... handleAddKey and handleUpdateKey: a key whose fields were cleared, one that was never typed
    {"id": "key-1766566800001", "key": KEY, "label": "", "weight": 3, "enabled": True},
    {"id": "key-1766566800002", "key": "", "label": "Key 2", "weight": 1, "enabled": False},
]
CHECKED_KEYS = [  # ccw/src/core/services/health-check-service.ts, updateKeyHealthStatus
    {"id": "key-1-a1b2c3d4e", "key": KEY, "label": "a", "weight": 0, "enabled": True, "healthStatus": "healthy",
     "lastHealthCheck": THEN, "lastLatencyMs": 211},
    {"id": "key-2-a1b2c3d4e", "key": KEY, "label": "b", "enabled": True, "healthStatus": "unhealthy",
     "lastHealthCheck": THEN, "lastError": "401 \u2014 ключ"},
]  # fmt: skip
MODEL = {  # ccw/src/templates/dashboard-js/views/api-settings.js, saveNewModel and saveModelSettings
    "id": "gpt-4o",
    "name": "GPT-4o",
    "type": "llm",
    "series": "GPT-4",
    "enabled": True,
    "capabilities": {"contextWindow": 128000, "streaming": True, "functionCalling": False, "vision": None},
    "endpointSettings": {"baseUrl": "https://api.example.com/v1", "timeout": 300, "maxRetries": 3},
    **STAMPS,
}
POOL = {
    "enabled": True,
    "targetModel": "text-embedding-3-small",
    "strategy": "latency_aware",
    "autoDiscover": True,
    "excludedProviderIds": [],
    "defaultCooldown": 60,
    "defaultMaxConcurrentPerKey": 4,
}
ROTATION = {
    "enabled": False,
    "strategy": "round_robin",
    "defaultCooldown": 60,
    "targetModel": "qwen3-embedding",
    "providers": [
        {
            "providerId": BARE["id"],
            "modelId": "emb-1",
            "useAllKeys": False,
            "selectedKeyIds": [],
            "weight": 1,
            "maxConcurrentPerKey": 4,
            "enabled": True,
        }
    ],
}


def file(*providers: dict[str, Any], endpoints: tuple[dict[str, Any], ...] = (), **more: Any) -> dict[str, Any]:
    """A whole file, its keys in the order of `getDefaultConfig` of `litellm-api-config-manager.ts`."""
    return {
        "version": 1,
        "providers": list(providers),
        "endpoints": list(endpoints),
        "globalCacheSettings": CACHE,
        **more,
    }


PRESENT: dict[str, dict[str, Any]] = {
    # ccw/src/config/litellm-api-config-manager.ts: getDefaultConfig, then any saveConfig
    "nothing in it": file(),
    # ... addProvider with the types of bf66b095, the first day
    "types of the first day": file(
        *(
            {**BARE, "id": f"{kind}-1", "type": kind, **STAMPS}
            for kind in ("openai", "anthropic", "ollama", "azure", "google", "mistral", "deepseek", "custom")
        )
    ),
    # ProviderModal.tsx, handleSubmit: one key
    "provider's form": file({**FORM, **STAMPS}),
    # ... several keys: the single one is emptied
    "provider's form, several keys": file(
        {**FORM, "apiKey": "", "apiKeys": KEYS, "routingStrategy": "simple-shuffle", **STAMPS}
    ),
    # ... every advanced setting, a model of each kind, checks
    "provider's form, all of it": file(
        {
            **FORM,
            "apiBase": "https://api.example.com/v1",
            "advancedSettings": {
                "timeout": 60,
                "maxRetries": 2,
                "organization": "org-1",
                "apiVersion": "2024-02-01",
                "customHeaders": {"X-Title": "ccw"},
                "rpm": 60,
                "tpm": 90000,
                "proxy": "http://localhost:8080",
            },
            "healthCheck": {"enabled": True, "intervalSeconds": 60, "cooldownSeconds": 300, "failureThreshold": 5},
            "llmModels": [{"id": "llm-1", "name": "gpt-4o", "type": "llm", "series": "gpt", "enabled": True, **STAMPS}],
            "embeddingModels": [
                {"id": "emb-1", "name": "e-3", "type": "embedding", "series": "e", "enabled": True, **STAMPS}
            ],
            **STAMPS,
        }
    ),
    # MultiKeySettingsModal.tsx, handleSave
    "several keys' form": file({**BARE, "apiKey": "", "apiKeys": KEYS, "routingStrategy": "weighted", **STAMPS}),
    # health-check-service.ts, checkProvider; litellm-api-routes.ts, POST .../test-key
    "keys that were checked": file({**BARE, "apiKeys": CHECKED_KEYS, "routingStrategy": "least-busy", **STAMPS}),
    # api-settings.js, saveProvider: its own order of keys, an empty address taken back by saveProviderApiBase
    "old dashboard's provider": file(
        {
            "type": "anthropic",
            "name": "Claude",
            "apiKey": KEY,
            "apiBase": "",
            "enabled": False,
            "advancedSettings": {"timeout": 120},
            "id": "anthropic-1",
            **STAMPS,
        }
    ),
    # ... updateHealthCheckField: a cleared number is NaN, which JSON writes as null; saveNewModel
    "old dashboard's models and checks": file(
        {
            **BARE,
            "llmModels": [MODEL],
            "embeddingModels": [],
            "rerankerModels": [{**MODEL, "type": "reranker"}],
            "healthCheck": {"intervalSeconds": None, "cooldownSeconds": 5, "failureThreshold": 3, "enabled": True},
            **STAMPS,
        }
    ),
    # EndpointModal.tsx, handleSubmit; setDefaultEndpoint
    "endpoint's form": file(
        {**BARE, **STAMPS},
        endpoints=(
            {
                **ENDPOINT,
                "enabled": True,
                "cacheStrategy": {"enabled": False, "ttlMinutes": 60, "maxSizeKB": 1024, "filePatterns": []},
                **STAMPS,
            },
        ),
        defaultEndpoint="my-gpt4o",
    ),
    # api-settings.js, saveEndpoint: no cache, and never `enabled`
    "old dashboard's endpoint": file(
        {**BARE, **STAMPS}, endpoints=({**ENDPOINT, "cacheStrategy": {"enabled": False}, **STAMPS},)
    ),
    # ccw/tests/integration/cli-executor/orchestration.test.ts, writeLiteLlmConfig
    "CCW's own test": file(
        {**BARE, **STAMPS},
        endpoints=(
            {
                **ENDPOINT,
                "description": "test endpoint",
                "cacheStrategy": {**STRATEGY, "maxSizeKB": 8},
                "enabled": True,
                **STAMPS,
            },
        ),
    ),
    # deleteProvider: the endpoints go, the default stays and names nothing
    "default that has gone": file(defaultEndpoint="my-gpt4o"),
    # updateCodexLensEmbeddingRotation, updateEmbeddingPoolConfig, addModelPool (and its migration of the older two)
    "pools of three ages": file(
        {**BARE, **STAMPS},
        codexlensEmbeddingRotation=ROTATION,
        embeddingPoolConfig=POOL,
        modelPools=[
            {
                "id": "pool-embedding-1",
                "modelType": "embedding",
                **POOL,
                "description": "Migrated from legacy embeddingPoolConfig",
            },
            {"modelType": "reranker", **POOL, "defaultCooldown": None, "id": "pool-reranker-2"},
        ],
    ),
}
"""Shapes that are the present one: nothing of them may change but what is edited."""


def provider(**changes: Any) -> dict[str, Any]:
    """A file of one provider."""
    return file({**BARE, **changes, **STAMPS})


def endpoint(**changes: Any) -> dict[str, Any]:
    """A file of one endpoint, which is on: CCW takes one without `enabled` for off."""
    return file({**BARE, **STAMPS}, endpoints=({**ENDPOINT, "enabled": True, **changes, **STAMPS},))


OLD_STRATEGY = {"enabled": True, "ttlMinutes": 60, "maxSizeKB": 512, "autoCachePatterns": ["*.md"]}

MENDED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # api-settings.js, saveEndpoint, until bcb73670
    "patterns under their old name": (
        endpoint(cacheStrategy=OLD_STRATEGY),
        endpoint(cacheStrategy={**OLD_STRATEGY, "filePatterns": ["*.md"]}),
    ),
    # CacheSettings.tsx, handleSave, as soon as it is pressed
    "empty cache folder": (
        {**file(), "globalCacheSettings": {"enabled": True, "cacheDir": "", "maxTotalSizeMB": 1024}},
        {**file(), "globalCacheSettings": {"enabled": True, "maxTotalSizeMB": 1024}},
    ),
    # ProviderModal.tsx, setRpm(parseInt("0")); api-settings.js, whose fields have min="0" and say "unlimited"
    "no limit": (
        provider(advancedSettings={"timeout": 300, "rpm": 0, "tpm": 0}),
        provider(advancedSettings={"timeout": 300}),
    ),
    # api-settings.js, updateApiKeyField(…, 'weight', parseInt('')): NaN
    "weight that was cleared": (
        provider(apiKeys=[{"id": "key-1", "key": KEY, "weight": None, "enabled": True}]),
        provider(apiKeys=[{"id": "key-1", "key": KEY, "enabled": True}]),
    ),
    # both forms: JSON.parse of what was typed
    "headers that are no texts": (
        provider(advancedSettings={"customHeaders": {"X-A": 1, "X-B": True, "X-C": None, "X-D": "d", "X-E": 0.5}}),
        provider(advancedSettings={"customHeaders": {"X-A": "1", "X-B": "true", "X-D": "d", "X-E": "0.5"}}),
    ),
    "headers null": (
        provider(advancedSettings={"timeout": 60, "customHeaders": None}),
        provider(advancedSettings={"timeout": 60}),
    ),
    # litellm-api-routes.ts, PUT .../providers/:id and .../endpoints/:id: any JSON
    "numbers null": (
        provider(advancedSettings={"timeout": None, "maxRetries": None, "rpm": None}),
        provider(advancedSettings={}),
    ),
    "parts of a provider null": (provider(advancedSettings=None, apiKeys=None, apiBase=None), provider(apiBase=None)),
    "parts of an endpoint null": (endpoint(cacheStrategy=None, description=None), endpoint(description=None)),
}
"""Shapes that CCW's forms wrote and its code reads as something else, and what they become."""
