"""ProS: its loss against a slow loop, prototypes that stay in use, and what is said where they do not."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from preface_hf import PrefAceConfig, PrefAceForPreTraining
from preface_hf.data.still_views import StillConfig
from preface_hf.data.streams import StillStream
from preface_hf.features.extract import extract
from preface_hf.features.probe import probe
from preface_hf.objectives.collapse import assignment_warning
from preface_hf.objectives.losses import mean_entropy
from preface_hf.objectives.pros import ProsObjective, ProsObjectiveConfig, prototype_faces
from preface_hf.plan.table import show_plan
from preface_hf.training.arguments import PretrainArguments, build
from tests.objectives.test_losses import on_processes
from tests.objectives.test_small_sets import write_some
from tests.training.test_loop import run


# Colors and blur are mild, so that a few steps teach something.
MILD = {"brightness": 0.12, "contrast": 0.12, "saturation": 0.06, "hue": 0.03, "gray_probability": 0.05}
VIEWS = StillConfig(global_size=32, num_local=3, local_size=16, blur_radius=(0.1, 0.5), **MILD)
TOP = math.log(24)


@pytest.fixture(scope="module")
def batch(prepared, tmp_path_factory):
    """Twelve clips of six drawn faces."""
    data = write_some(prepared, tmp_path_factory.mktemp("pros") / "set", 12)
    return next(iter(StillStream(data, VIEWS, batch_size=12, seed=0)))


def make(**config) -> ProsObjective:
    torch.manual_seed(0)
    student = PrefAceForPreTraining(
        PrefAceConfig(
            image_size=32, patch_size=8, num_frames=2, hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=128, projector_hidden_size=64, projector_output_size=32, num_prototypes=24,
            pretraining_method="pros",
        )
    )  # fmt: skip
    return ProsObjective(
        student, ProsObjectiveConfig(**config), views=VIEWS, num_instances=12, max_steps=100, seed=0,
        pixels=([0.5] * 3, [0.25] * 3),
    )  # fmt: skip


def started(batch, **config) -> ProsObjective:
    objective = make(**config)
    objective.start([(batch.instance_ids, batch.global_tubes[:, 0])])
    return objective


def slow_pros_loss(student, teacher, mean_weight, temperature=0.1, sharpening=0.25):
    """Of cosines: the student's `(V, B, K)`, the teacher's `(G, B, K)`."""
    pairs, assignments = [], []
    for v in range(len(student)):
        for b in range(student.shape[1]):
            p = torch.exp(student[v, b] / temperature)
            p = p / p.sum()
            assignments.append(p)
            for g in range(len(teacher)):
                if g == v:
                    continue
                target = torch.exp(teacher[g, b] / temperature)
                target = (target / target.sum()) ** (1 / sharpening)
                target = target / target.sum()
                pairs.append(-sum(target[k] * torch.log(p[k]) for k in range(len(p))))
    mean = sum(assignments) / len(assignments)
    entropy = -sum(mean[k] * torch.log(mean[k]) for k in range(len(mean)))
    return sum(pairs) / len(pairs) + mean_weight * (math.log(len(mean)) - entropy)


@pytest.mark.parametrize("weight", [0.0, 0.7, 1.0])
def test_the_loss_is_that_of_a_slow_loop_and_so_are_its_gradients(batch, weight):
    objective = started(batch, mean_entropy_weight=weight)
    objective.student.train()
    output = objective(batch, step=0)
    output.loss.backward()
    fast = [parameter.grad.clone() for parameter in objective.student.parameters()]
    objective.student.zero_grad()
    tubes = [batch.global_tubes[:, v] for v in range(2)] + [batch.small_tubes[:, v] for v in range(3)]
    seen = [objective.pixel_values(tube, batch.colors[:, v]) for v, tube in enumerate(tubes)]
    student = torch.stack([objective.student(pixels).prototype_logits for pixels in seen])
    with torch.no_grad():
        # One set of prototypes for both networks: the student's.
        unit = torch.nn.functional.normalize(objective.student.prototypes.weight, dim=-1)
        model = objective.teacher.model
        projected = [model.projector(model.standardize(model.preface(p).pooler_output)) for p in seen[:2]]
        teacher = torch.stack([rows @ unit.T for rows in projected])
    slow = slow_pros_loss(student, teacher, weight)
    slow.backward()
    torch.testing.assert_close(output.loss, slow, atol=1e-5, rtol=1e-5)
    for ours, parameter in zip(fast, objective.student.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, atol=1e-5, rtol=1e-3)


def test_the_teacher_has_the_students_prototypes_after_each_step_and_follows_it_slowly(batch):
    objective = started(batch)
    optimizer = torch.optim.AdamW(objective.trainable_parameters(), lr=0.01)
    objective(batch, step=0).loss.backward()
    optimizer.step()
    before = objective.teacher.model.projector.layers[0].weight.clone()
    objective.after_step(0)
    ours, theirs = objective.student, objective.teacher.model
    assert torch.equal(ours.prototypes.weight, theirs.prototypes.weight)
    moved = 0.996 * before + 0.004 * ours.projector.layers[0].weight
    torch.testing.assert_close(theirs.projector.layers[0].weight, moved)
    assert not theirs.prototypes.weight.requires_grad


def test_sinkhorn_spreads_the_targets(batch):
    plain, scaled = started(batch), started(batch, targets="sinkhorn")
    logits = torch.rand(2, 48, 24) * 0.2 + 0.8 * (torch.arange(24) == 3)  # all clips prefer one
    used = [objective.targets(logits, 0).mean(dim=(0, 1)) for objective in (plain, scaled)]
    assert used[0].max() > 0.99 and used[1].max() < 0.1
    torch.testing.assert_close(plain.targets(logits, 0), ((logits / 0.1).softmax(-1) ** 4).divide_(
        ((logits / 0.1).softmax(-1) ** 4).sum(-1, keepdim=True)), atol=1e-5, rtol=1e-3)  # fmt: skip


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_mean_is_that_of_all_processes_and_so_is_its_gradient(world):
    torch.manual_seed(0)
    logits = torch.rand(5, 6, 24, dtype=torch.float32).requires_grad_()
    whole = mean_entropy(logits, 0.1)
    whole.backward()
    shares = [part.detach().clone().requires_grad_() for part in logits.chunk(world, dim=1)]
    values = on_processes(world, lambda rank, gather: mean_entropy(shares[rank], 0.1, gather))
    sum(values).div(world).backward()  # DDP: the mean of the gradients
    torch.testing.assert_close(torch.stack(values), whole.expand(world))
    torch.testing.assert_close(torch.cat([share.grad for share in shares], dim=1), logits.grad)


def train(batch, steps, **config):
    """The logs of the last of `steps` steps on one batch."""
    objective = started(batch, teacher_momentum=0.98, **config)
    optimizer = torch.optim.AdamW(objective.trainable_parameters(), lr=3e-4, weight_decay=0.0)
    for step in range(steps):
        output = objective(batch, step)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        objective.after_step(step)
    return objective, {name: float(value) for name, value in output.logs.items()}


def test_prototypes_stay_in_use_and_without_the_term_the_watch_speaks(batch):
    objective, logs = train(batch, 80)
    assert logs["mean_entropy"] > 0.8 * TOP and logs["teacher_information"] > 1.0 and objective.warning(logs) is None
    assert logs["loss_distill"] < 1.5
    objective, logs = train(batch, 80, mean_entropy_weight=0.0)
    assert "a few prototypes have taken all clips" in objective.warning(logs)


@pytest.mark.parametrize(
    ("mean", "information", "word"),
    [(3.0, 1.0, None), (1.5, 1.0, "mean_entropy=1.500"), (3.1, 0.0, "teacher_information=0.000")],
)
def test_the_watch_tells_both_kinds_of_collapse(mean, information, word):
    said = assignment_warning({"mean_entropy": mean, "teacher_information": information}, 24)
    assert said is None if word is None else word in said
    assert assignment_warning({}, 24) is None


def test_fewer_than_two_prototypes_are_refused():
    with pytest.raises(ValueError, match="num_prototypes=1 of the model must be from 2"):
        PretrainArguments(size="vit-t", method="pros", model={"num_prototypes": 1}).parts()
    with pytest.raises(ValueError, match="targets='centering' is unknown: choose one of sharpening, sinkhorn"):
        ProsObjectiveConfig(targets="centering")


def test_its_model_is_made_for_stills_unless_the_run_says_otherwise():
    for model, frames in (({}, 2), ({"num_frames": 8, "num_prototypes": 9}, 8)):
        parts = PretrainArguments(size="vit-b", method="pros", model=model).parts()
        assert parts.model.num_frames == parts.views.num_frames == frames
        assert parts.model.num_prototypes == (9 if model else 1024)


def test_runs_start_from_those_of_other_methods_and_say_what_is_kept(tiny_settings, tmp_path, capsys):
    source, fields = tmp_path / "preface/checkpoints/step-00000001", {"num_frames": 4, "num_prototypes": 16}
    run({**tiny_settings, "max_steps": 1}, tmp_path / "preface")
    pros = {**tiny_settings, "method": "pros", "max_steps": 1, "model": {**tiny_settings["model"], **fields}}
    capsys.readouterr()
    run(pros, tmp_path / "pros", init_from=str(source))
    said = " ".join(capsys.readouterr().out.split())
    assert "student and teacher continue from" in said and "kept are the encoder, projector;" in said
    assert "new are prototypes; left behind are prototypes, facefeat_projector." in said
    back = str(tmp_path / "pros/checkpoints/step-00000001")
    run({**tiny_settings, "method": "dino", "max_steps": 1}, tmp_path / "dino", init_from=back)
    said = " ".join(capsys.readouterr().out.split())
    assert "new are prototypes; left behind are prototypes." in said
    # The same method keeps its prototypes, or is refused.
    with pytest.raises(ValueError, match="num_prototypes: 16 -> 32"):
        run({**pros, "model": {**pros["model"], "num_prototypes": 32}}, tmp_path / "other", init_from=back)
    still = {**pros, "learning_rate": 0.0, "final_learning_rate": 0.0, "warmup_steps": 0}
    run(still, tmp_path / "again", init_from=back)
    weights = [load_file(folder / "model.safetensors") for folder in (Path(back), tmp_path / "again/final")]
    assert weights[0].keys() == weights[1].keys()


@pytest.mark.usefixtures("reports")
def test_it_is_shown_planned_extracted_and_probed(tiny_settings, tmp_path, capsys):
    settings = {**tiny_settings, "method": "pros", "model": {**tiny_settings["model"], "num_frames": 2}}
    final = run({**settings, "max_steps": 2}, tmp_path / "run")
    text = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "mean_entropy" in text and "tube: local" in text and "FaceFeat" not in text
    assert "of 32 prototypes are the nearest of some of 12 faces" in text and "<h3>prototype " in text
    show_plan(build(PretrainArguments, {**settings, "output_dir": "x"}, "test"), "cpu-2", 100)
    printed = capsys.readouterr().out
    assert "teacher" in printed and "FaceFeat" not in printed
    assert extract(final, Path(settings["data"]), tmp_path / "features.parquet")["rows"] > 0
    assert probe(final, settings["data"], "expression", group="identity", baselines=False).scores


def test_the_faces_of_a_prototype_are_those_nearest_to_it():
    model, pixels = make().student.eval(), ([0.5] * 3, [0.25] * 3)
    torch.manual_seed(1)
    clips = torch.randint(0, 256, (40, 2, 3, 32, 32), dtype=torch.uint8)
    groups = prototype_faces(model, clips, pixels, faces=3)
    with torch.no_grad():
        cosines = model((clips.float() / 255 - 0.5) / 0.25).prototype_logits
    counts = [int((cosines.argmax(1) == k).sum()) for k in range(24)]
    assert f"{sum(count > 0 for count in counts)} of 24 prototypes" in groups.note and 1 <= len(groups.rows) <= 3
    for name, members in groups.rows:
        prototype, count = (int(word.rstrip(":")) for word in (name.split()[1], name.split()[-1]))
        assert counts[prototype] == count > 0
        assert [place for place, _ in members] == cosines[:, prototype].argsort(descending=True)[:3].tolist()
        assert members[0][1] == pytest.approx(float(cosines[:, prototype].max()), abs=1e-5)
    assert [counts[int(name.split()[1].rstrip(":"))] for name, _ in groups.rows] == sorted(counts)[
        -len(groups.rows) :
    ][::-1]
