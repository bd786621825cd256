"""What is known of models without asking their provider: for choosing one.

What is known of hosted models comes with litellm, whose import takes seconds, in a thread: await these on the worker's
loop (`calls.worker.submit`), never in a kernel's main thread.
"""

from __future__ import annotations

from ccw_magics.backends import embedded, hosted, local_model
from ccw_magics.backends.base import ModelCall
from ccw_magics.backends.model_facts import ModelFacts
from ccw_magics.config.models import LOCAL_ID

__all__ = ["ModelFacts", "known_models", "model_facts"]


async def model_facts(provider_type: str, model: str) -> ModelFacts:
    """Context window, longest answer and prices of a model; unknown is None, never 0.

    Of `custom` and `ollama` no price is known, since the server is somebody's own. `local` is free. An Ollama on this
    machine is asked for the window.

    Args:
        provider_type: The config's provider type.
        model: As an endpoint names it.
    """
    call = ModelCall(provider_type, model, prompt="")
    if provider_type != LOCAL_ID:
        return await hosted().facts(call)
    window, longest = await embedded().context_window_tokens(call), await embedded().max_output_tokens(call)
    return ModelFacts(window, longest, 0.0, 0.0, 0.0)


async def known_models(provider_type: str) -> tuple[str, ...]:
    """The chat models that are known of a type of provider, sorted, as an endpoint's `model` takes them.

    What a provider serves in fact, `calls.probe.probe` tells. Nothing is known of `custom`, nor of a type that litellm
    does not know. Azure's are models, and an endpoint names a deployment, which often bears the model's name.

    Args:
        provider_type: The config's provider type.
    """
    return (local_model.DEFAULT_MODEL,) if provider_type == LOCAL_ID else await hosted().known_models(provider_type)
