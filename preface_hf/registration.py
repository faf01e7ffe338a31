"""Registers the models with transformers' Auto classes, without making `import preface_hf` wait for transformers."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any


def register() -> None:
    """Tell the Auto classes of the PrefAce classes, those of `AUTO_MAP`."""
    auto = importlib.import_module("transformers.models.auto")
    processing = importlib.import_module("transformers.models.auto.video_processing_auto")
    modeling = importlib.import_module("preface_hf.modeling")

    auto.AutoConfig.register("preface", modeling.PrefAceConfig, exist_ok=True)
    # `register_for_auto_class` writes the class into `auto_map` of checkpoints that are saved.
    for auto_class, model_class in (
        (auto.AutoModel, modeling.PrefAceModel),
        (auto.AutoModelForPreTraining, modeling.PrefAceForPreTraining),
        (auto.AutoModelForVideoClassification, modeling.PrefAceForVideoClassification),
        (auto.AutoModelForKeypointDetection, modeling.PrefAceForLandmarkDetection),
    ):
        auto_class.register(modeling.PrefAceConfig, model_class, exist_ok=True)
        model_class.register_for_auto_class(auto_class.__name__)
    modeling.PrefAceConfig.register_for_auto_class()
    for config, model in (
        (modeling.PrefAceSyncConfig, modeling.PrefAceSyncModel),
        (modeling.PrefAceLipSyncConfig, modeling.PrefAceForLipSync),
    ):
        auto.AutoConfig.register(config.model_type, config, exist_ok=True)
        auto.AutoModel.register(config, model, exist_ok=True)
        config.register_for_auto_class()
        model.register_for_auto_class("AutoModel")
    # Not `transformers.AutoVideoProcessor`: without torchvision that name is a placeholder that only raises.
    processing.AutoVideoProcessor.register(modeling.PrefAceConfig, modeling.PrefAceVideoProcessor, exist_ok=True)
    modeling.PrefAceVideoProcessor.register_for_auto_class()


class Registrar(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets the import of transformers, or of our models, whichever comes first, run as usual, then registers."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        """Ask the true finder for the module, and put this loader before its own; None for any other module."""
        if name not in ("transformers", "preface_hf.modeling"):
            return None
        sys.meta_path.remove(self)  # first, so that the true finder is asked below, and this one never again
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            self.loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the true loader does."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module by the true loader, then register."""
        # The module keeps its true loader: who asks it for sources must not meet this one.
        module.__spec__.loader = module.__loader__ = self.loader  # type: ignore[union-attr]
        self.loader.exec_module(module)
        register()


def register_when_transformers_is_there() -> None:
    """Register now if transformers is imported, else as soon as it is."""
    if "transformers" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, Registrar())
