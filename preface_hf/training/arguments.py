"""The settings of a pretraining run: dataclasses with defaults, a YAML file over them, flags over that."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from preface_hf.files import read_yaml
from preface_hf.modeling import PRESETS, PrefAceConfig
from preface_hf.objectives.methods import METHODS, Method
from preface_hf.precision import PRECISIONS
from preface_hf.training.ranges import check_ranges


TRACKERS = ("tensorboard", "trackio")
# What releases before 0.2 called it, by section: read, never written.
OLD_KEYS = {
    "views": {"grey_probability": "gray_probability"},
    "objective": {"centre_momentum": "center_momentum"},
}
OLD_VALUES = {"objective": {"targets": {"centring": "centering"}}}
CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass
class PretrainArguments:
    """A pretraining run. `model`, `views` and `objective` are sections of the YAML file.

    Attributes:
        data: a prepared set; or several, and how often each is drawn from: {path: weight}.
        output_dir: the folder of the run.
        init_from: checkpoint to start from: any of PrefAce, or one of a run with its teacher; null: from new weights.
        method: preface, pros, dino, marlin or videomae (`preface_hf.objectives.methods`).
        size: preset of `PrefAceConfig`: vit-t, vit-s, vit-b or vit-l.
        model: over the size's PrefAceConfig.
        views: over the method's defaults.
        objective: over the method's defaults.
        max_steps: optimizer steps.
        batch_size: clips per process and forward.
        gradient_accumulation_steps: batches that make one step.
        learning_rate: peak, for a global batch of 256; scaled linearly (DINO).
        final_learning_rate: at the end of the cosine, scaled alike.
        layer_decay: learning rate of a layer, over that of the layer above it.
        warmup_steps: over which the learning rate rises from 0.
        weight_decay: at the start.
        final_weight_decay: at the end.
        adam_beta2: of AdamW; masked autoencoders: 0.95.
        max_grad_norm: longer gradients are cut to this length.
        freeze_prototypes_epochs: DINO: the last layer rests during the first epoch.
        mixed_precision: no, bf16, fp16, auto (measured at the start); null: Accelerate's config file says, else no.
        gradient_checkpointing: less memory for more time.
        attn_implementation: of transformers; eager is faster where bf16 trains small tubes on a CPU.
        publish: whose weights final/ holds: teacher or student; null: what the method publishes.
        save_steps: a checkpoint every so many steps.
        keep_checkpoints: the last so many; null keeps all.
        keep_best: beside them the one with the highest probe_knn, which is saved when it is found.
        logging_steps: a row of `metrics.jsonl` every so many steps.
        probe_steps: a kNN probe every so many steps, and after the last; 0: never.
        probe_data: prepared set of the probe.
        probe_split: of it; "": validation, if there is one, else about 1000 rows of train.
        probe_label: column to predict.
        probe_group: column that folds keep together; "": that of people, if the set has one, else the file.
        report_to: beside metrics.jsonl: tensorboard, trackio.
        num_workers: processes that decode and cut views.
        shuffle_window: rows shuffled together, held in memory by all training processes together.
        seed: of everything random.
    """

    data: str | dict[str, float] = ""
    output_dir: str = ""
    init_from: str | None = None
    method: str = "preface"
    size: str = "vit-b"
    model: dict[str, Any] = field(default_factory=dict)
    views: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    max_steps: int = 1000
    batch_size: int = 32
    gradient_accumulation_steps: int = 1
    learning_rate: float = 5e-4
    final_learning_rate: float = 1e-6
    layer_decay: float = 1.0
    warmup_steps: int = 100
    weight_decay: float = 0.04
    final_weight_decay: float = 0.4
    adam_beta2: float = 0.999
    max_grad_norm: float = 3.0
    freeze_prototypes_epochs: float = 1.0
    mixed_precision: str | None = None
    gradient_checkpointing: bool = False
    attn_implementation: str = "sdpa"
    publish: str | None = None
    save_steps: int = 500
    keep_checkpoints: int | None = 2
    keep_best: bool = False
    logging_steps: int = 10
    probe_steps: int = 0
    probe_data: str = ""
    probe_split: str = ""
    probe_label: str = ""
    probe_group: str = ""
    report_to: list[str] = field(default_factory=list)
    num_workers: int = 1
    shuffle_window: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mixed_precision is False:  # what YAML makes of an unquoted no
            self.mixed_precision = "no"
        if self.mixed_precision is None:  # `accelerate launch` hands its config file's over in the environment
            self.mixed_precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
        if not isinstance(self.init_from, str | None):
            raise ValueError(f"init_from={self.init_from!r} is no checkpoint: give a folder or a Hub name, or null.")
        self.check_choices({"method": METHODS, "size": PRESETS, "mixed_precision": PRECISIONS})
        # The method is known now: it says whose weights a run of it can end with.
        if self.publish is None:
            self.publish = METHODS[self.method].publish[0]
        self.check_choices({"publish": METHODS[self.method].publish})
        if not isinstance(self.report_to, list) or not set(self.report_to) <= set(TRACKERS):
            raise ValueError(f"report_to={self.report_to!r} must be a list of some of {', '.join(TRACKERS)}.")
        for name in ("max_steps", "batch_size", "gradient_accumulation_steps", "save_steps", "logging_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be 1 or more.")
        self.check_probe()
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay={self.layer_decay} must be above 0 and at most 1 (no decay).")
        if self.keep_checkpoints is not None and self.keep_checkpoints < 1:
            raise ValueError(f"keep_checkpoints={self.keep_checkpoints} must be 1 or more, or null to keep all.")
        check_ranges(vars(self), "")

    def check_choices(self, choices: dict[str, Collection[str]]) -> None:
        """Raises `ValueError` for the first setting that is none of its `choices`."""
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown: choose one of {', '.join(allowed)}.")

    def check_probe(self) -> None:
        """Raises `ValueError` where the settings of the probe do not fit together."""
        if self.probe_steps < 0:
            raise ValueError(f"probe_steps={self.probe_steps} must be 0 (no probe) or more.")
        for name in ("probe_data", "probe_label"):
            if self.probe_steps and not getattr(self, name):
                raise ValueError(f"probe_steps={self.probe_steps} needs {name}: set it, or probe_steps to 0.")
        if self.keep_best and not self.probe_steps:
            raise ValueError("keep_best=True needs a probe: set probe_steps, probe_data and probe_label.")
        if self.keep_best and self.probe_split == "test":
            raise ValueError(
                "keep_best=True would choose by probe_split='test', which is reported: set it to validation or train."
            )

    def parts(self) -> Parts:
        """What the sections say, over the defaults of the size and the method. Raises `ValueError` for an unknown key,
        a value of the wrong type, or sizes that do not divide."""
        method = METHODS[self.method]
        check_keys(self.model, [f.name for f in dataclasses.fields(PrefAceConfig)], "model")
        fields = {**method.model, **self.model, "pretraining_method": method.student}
        model = PrefAceConfig.from_preset(self.size, **fields)
        views = build(method.views, {**view_defaults(model, method.views), **self.views}, "views")
        check_views(views, model)
        return Parts(method, model, views, build(method.config, self.objective, "objective"))

    def resolved(self) -> dict[str, Any]:
        """Every setting with its value, as `config.yaml` holds them."""
        return with_sections(self, self.parts())


@dataclass(frozen=True)
class Parts:
    """The sections of [`PretrainArguments`], resolved: the method, and the settings that are its own."""

    method: Method
    model: PrefAceConfig
    views: Any  # of the class `method.views`
    objective: Any  # of the class `method.config`


def with_sections(arguments: PretrainArguments, parts: Parts) -> dict[str, Any]:
    """Every setting with its value, as `config.yaml` holds them; the sections from `parts`."""
    values = dataclasses.asdict(arguments)
    # Heads of other methods have no part in this run.
    names = MODEL_KEYS - HEAD_KEYS | set(parts.method.heads)
    model = dataclasses.fields(parts.model)
    values["model"] = {f.name: getattr(parts.model, f.name) for f in model if f.name in names}
    for name, config in (("views", parts.views), ("objective", parts.objective)):
        values[name] = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}
    return values


def view_defaults(model: PrefAceConfig, views: type) -> dict[str, int]:
    """What the class `views` takes over from the model: its sizes, small tubes 3/7 of the global ones."""
    # DINO's small crops have 96 of 224 pixels; rounded to whole patches for other sizes.
    small = round(model.image_size * 3 / 7 / model.patch_size) * model.patch_size
    sizes = {
        "num_frames": model.num_frames,
        "global_size": model.image_size,
        "local_size": small,
        "tubelet_size": model.tubelet_size,
        "patch_size": model.patch_size,
    }
    return {f.name: sizes[f.name] for f in dataclasses.fields(views) if f.name in sizes}


def check_views(views: Any, model: PrefAceConfig) -> None:
    """Raises `ValueError` where a size of the views is no multiple of the model's unit."""
    units = {"num_frames": "tubelet_size", "global_size": "patch_size", "local_size": "patch_size"}
    for name, unit in units.items():
        if not hasattr(views, name):  # a method without small tubes
            continue
        if getattr(views, name) < 1 or getattr(views, name) % getattr(model, unit):
            raise ValueError(
                f"views.{name}={getattr(views, name)} must be a positive multiple of the model's "
                f"{unit}={getattr(model, unit)}: change one of the two."
            )


# The model's own fields, not what transformers adds. `pretrained_grid` belongs to the weights and is no setting.
# Nor is `pretraining_method`: `method` says it.
MODEL_KEYS = set(PrefAceConfig.__annotations__) - {"model_type", "pretrained_grid", "pretraining_method"}
HEAD_KEYS = {name for method in METHODS.values() for name in method.heads}


def with_new_names(values: dict[str, Any]) -> dict[str, Any]:
    """The settings of a YAML file with the names of today, whatever release wrote it."""
    renamed = dict(values)
    for section, names in OLD_KEYS.items():
        if isinstance(values.get(section), dict):
            renamed[section] = {names.get(key, key): value for key, value in values[section].items()}
            for key, words in OLD_VALUES.get(section, {}).items():
                # YAML may hold a list here, which no dict takes as a key: only words are looked up.
                value = renamed[section].get(key)
                renamed[section] |= {key: words[value]} if isinstance(value, str) and value in words else {}
    return renamed


def check_keys(values: dict[str, Any], known: list[str], where: str) -> None:
    """Raises `ValueError` for the first unknown key, with the nearest known one."""
    for key in values:
        if not isinstance(key, str):
            raise ValueError(f"the key {key!r} in {where} is no name: write lines of `key: value`.")
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}."
            raise ValueError(f"unknown key {key!r} in {where}: {hint}")


def build(cls: type, values: dict[str, Any], where: str) -> Any:
    """`cls(**values)` with unknown keys and wrong types refused."""
    check_keys(values, [f.name for f in dataclasses.fields(cls)], where)
    hints = get_type_hints(cls)
    factories = {f.name: f.default_factory for f in dataclasses.fields(cls) if callable(f.default_factory)}
    for key, value in values.items():
        default = factories[key]() if key in factories else getattr(cls, key, None)
        # A field without a default value is checked by the class itself.
        if default is not None and not fits(value, hints[key]):
            raise ValueError(
                f"{where}.{key}={value!r} is a {type(value).__name__}, but {type(default).__name__} is needed."
            )
    # The run's own settings are looked at by their class: it has sentences of its own for some.
    if cls is not PretrainArguments:
        check_ranges(values, f"{where}.")
    return cls(**values)


def fits(value: object, hint: Any) -> bool:
    """Whether a value from YAML may be given to a field that is annotated by `hint`."""
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    types = {get_origin(option) or option for option in options}
    # By type, as a bool is an int to Python. A whole number may stand for a float, and YAML writes tuples as lists.
    if type(value) is int:
        return int in types or float in types
    if isinstance(value, list):
        return list in types or tuple in types
    return type(value) in types


def parse_data(flags: list[str]) -> str | dict[str, float]:
    """What the flags `--data` say: one is a path as it stands, each of several is `PATH` or `PATH=WEIGHT`."""
    if len(flags) == 1:
        return flags[0]
    data: dict[str, float] = {}
    for flag in flags:
        # From the right: a path may hold `=` itself.
        path, equals, weight = flag.rpartition("=")
        if not equals:
            path, weight = flag, "1"
        if path in data:
            raise ValueError(f"--data {path} is given twice: give it once, with the sum of the weights.")
        try:
            data[path] = float(weight)
        except ValueError:
            raise ValueError(f"--data {flag}: {weight!r} is no weight; write PATH=WEIGHT, such as {path}=2.") from None
    return data


def config_path(file: str | Path) -> Path:
    """`file` as it is, or the packaged config that it names (`vit-b`); `ValueError` if it is neither."""
    packaged = {path.stem: path for path in sorted(CONFIGS.glob("*.yaml"))}
    # A file of that name in the working folder goes before the packaged config.
    if str(file) in packaged and not Path(file).is_file():
        return packaged[str(file)]
    if not Path(file).exists():
        names = ", ".join(packaged)
        raise ValueError(
            f"the config {str(file)!r} is neither a file nor a packaged one: name a file, or one of {names}."
        )
    return Path(file)


def load_arguments(file: str | Path | None, flags: dict[str, Any]) -> PretrainArguments:
    """Defaults, then the YAML `file` (or the packaged config of that name), then the `flags` that are not `None`.

    Raises `ValueError` for a file that cannot be read, an unknown key or a value of the wrong type.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values = read_yaml(config_path(file), "the config")
        values = {} if values is None else values
        if not isinstance(values, dict):
            raise ValueError(f"the config {str(file)!r} is no mapping: write lines of `key: value`.")
    values = with_new_names(values)
    where = str(file) if file else "the flags"
    return build(PretrainArguments, {**values, **{k: v for k, v in flags.items() if v is not None}}, where)
