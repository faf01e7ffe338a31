"""Facts as a model card. What is not stated is said not to be; no number is here that no file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from preface_hf.hub.citations import cited
from preface_hf.hub.facts import Facts, Score, Source
from preface_hf.hub.sources import hub_name
from preface_hf.tasks.results.reading import number


TEMPLATE = Path(__file__).with_name("template.md")
WHAT = {
    "pretraining": "A face-video encoder, pretrained without labels by preface_hf.",
    "fine-tuning": "A face-video model, fine-tuned by preface_hf.",
    "checkpoint": "A checkpoint of preface_hf, pushed without the run that made it.",
    "settings": "Settings of a run of preface_hf. **No weights are published.**",
}
# Of models of mouths and voices, by `model_type`: what they are, the command to use them by, what they are not for.
SPEECH = {
    "preface_sync": (
        "A sync expert of preface_hf: it tells whether a voice and a mouth belong together.",
        "preface-hf sync talk.mp4 --model {repo}", "",
    ),
    "preface_lipsync": (
        "A lip-sync generator of preface_hf: it draws the mouth of a face anew, to fit another sound.",
        "preface-hf lipsync {repo} video.mp4 speech.wav out.mp4",
        "Putting words into a person's mouth without their consent, passing what is made off as a recording, and\n"
        "getting past a check of who somebody is: it must not be used for these. What the command writes says in its\n"
        "metadata, and unless told otherwise in the picture, that it is synthetic; keep that mark.",
    ),
}  # fmt: skip


def model_card(facts: Facts, repo: str, license: str = "unknown", base: str = "", adapter: bool = False) -> ModelCard:
    """The card of a model.

    Args:
        facts: of it.
        repo: its name on the Hub.
        license: of the weights, an identifier of the Hub.
        base: name of the base checkpoint on the Hub.
        adapter: whether `repo` holds a LoRA adapter alone.
    """
    base = base or hub_name(facts.base)
    return ModelCard.from_template(
        card_data(facts, repo, license, base, adapter),
        template_path=str(TEMPLATE),
        name=repo.split("/")[-1],
        warning=SPEECH.get(str(facts.config.get("model_type")), ("", "", ""))[2],
        summary=f"{what(facts)} {facts.parameters:,} parameters. License of the weights: {stated(license)}.",
        use=usage(facts, repo, base, adapter),
        method=method(facts, base),
        data="\n".join(map(told, facts.sources)) or "Not stated: license, source and consent are unknown here.",
        budget=table(("what", "value"), list(facts.budget.items())) if facts.budget else "Not stated.",
        measured=measured(facts),
        groups=groups(facts),
        figures="\n".join(f"![{name}](figures/{name}.png)" for name in facts.figures),
        settings=settings(facts.settings),
    )


def what(facts: Facts) -> str:
    """What a model is, a sentence."""
    return SPEECH.get(str(facts.config.get("model_type")), (WHAT[facts.kind],))[0]


def card_data(facts: Facts, repo: str, license: str, base: str, adapter: bool) -> ModelCardData:
    """The header of a card, which the Hub reads."""
    results = [result(score, facts.task) for score in facts.scores if score.value == score.value]
    names = list(dict.fromkeys(score.metric for score in facts.scores))
    return ModelCardData(
        license=license,
        library_name="peft" if adapter else "transformers",
        pipeline_tag=facts.task,
        base_model=base or None,
        datasets=[source.hub for source in facts.sources if source.hub] or None,
        tags=["preface", "face-video", *filter(None, (facts.method, facts.protocol))],
        metrics=names or None,
        model_name=repo.split("/")[-1],
        eval_results=results or None,
    )


def result(score: Score, task: str) -> EvalResult:
    """An entry of `model-index`."""
    return EvalResult(
        task_type=task, dataset_type=score.source.hub or score.source.name, dataset_name=score.source.name,
        dataset_split=score.split or None, metric_type=score.metric, metric_name=score.metric,
        metric_value=score.value,
    )  # fmt: skip


def stated(license: str) -> str:
    """A license; `not stated` where there is none."""
    return "not stated" if license in ("", "unknown") else license


def told(source: Source) -> str:
    """A data set as a line."""
    consent = " ".join(source.consent.split()) or "not stated by the owner of the set"
    made = f" ({source.made})" if source.made else ""
    return f"* **{source.name}**{made}. License: {stated(source.license)}. Consent of the people shown: {consent}."


def method(facts: Facts, base: str) -> str:
    """How the model was made."""
    parts = [cited(facts.method)]
    if facts.protocol:
        parts.append(f"Fine-tuned by the protocol `{facts.protocol}`.")
    if facts.base:
        parts.append(f"It started from {base or f'`{Path(facts.base).name}`, a checkpoint that is not on the Hub'}.")
    command = f"\n\n```bash\n{facts.command}\n```" if facts.command and facts.kind != "settings" else ""
    return " ".join(parts) + command


def usage(facts: Facts, repo: str, base: str, adapter: bool) -> str:
    """Lines of Python that open it."""
    if facts.kind == "settings":
        return f"`{facts.command}`"
    if facts.config.get("model_type") in SPEECH:
        call = SPEECH[facts.config["model_type"]][1].format(repo=repo)
        lines = ["from transformers import AutoModel", "", f'model = AutoModel.from_pretrained("{repo}", '
                 "trust_remote_code=True)"]  # fmt: skip
        return "```python\n" + "\n".join(lines) + f"\n```\n\nOn videos, with the package: `{call}`."
    door, opened = facts.door, f'{facts.door}.from_pretrained("{repo}", trust_remote_code=True)'
    lines = [f"from transformers import {door}, AutoVideoProcessor  # needs torchvision"]
    if adapter:
        lines = [*lines[:1], "from peft import PeftModel", ""]
        lines += [f'model = {door}.from_pretrained("{base}"{head_fields(facts)}, trust_remote_code=True)']
        lines += [f'model = PeftModel.from_pretrained(model, "{repo}")']
    else:
        lines += ["", f"model = {opened}"]
    lines += [f'processor = AutoVideoProcessor.from_pretrained("{base if adapter else repo}", trust_remote_code=True)']
    lines += ['output = model(**processor("face.mp4", return_tensors="pt"))  # a crop of a face']
    return "```python\n" + "\n".join(lines) + "\n```"


def head_fields(facts: Facts) -> str:
    """What the base must be told, so that its new head has the shape of the adapter's."""
    if "id2label" not in facts.config:
        return ""
    pooling = facts.config.get("classifier_pooling", "mean")
    said = f', classifier_pooling="{pooling}"' if pooling != "mean" else ""
    return f", num_labels={len(facts.config['id2label'])}{said}"


def measured(facts: Facts) -> str:
    """Scores with intervals, and the command that measured them."""
    if not facts.scores:
        return "Not measured."
    rows = [(s.source.name, s.split or "–", s.metric, with_interval(s), str(s.items or "–")) for s in facts.scores]
    commands = dict.fromkeys(f"* {score.source.name}: `{score.command}`" for score in facts.scores)
    head = ("data", "split", "metric", "value [95 % interval]", "items")
    return "\n".join([table(head, rows), "", "Measured by:", *commands])


def with_interval(score: Score) -> str:
    """`value [low, high]`."""
    return number(score.value) + (f" [{number(score.low)}, {number(score.high)}]" if score.low is not None else "")


def groups(facts: Facts) -> str:
    """A table of scores by group, or why there is none."""
    if not facts.groups:
        return facts.gap[:1].upper() + facts.gap[1:]
    rows = [(group.trait, group.value, f"{group.rows:,}", number(group.score)) for group in facts.groups]
    few = "Groups of few rows say little. A trait is what the set's owner wrote, not what a person said of themselves."
    return table(("column", "group", "rows", facts.group_metric), rows) + f"\n\n{few}"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def settings(values: Mapping[str, object]) -> str:
    """The settings of a run, folded."""
    if not values:
        return ""
    text = yaml.safe_dump(dict(values), sort_keys=False)
    return f"<details><summary>Settings</summary>\n\n```yaml\n{text}```\n\n</details>"
