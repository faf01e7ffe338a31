"""The report of a run: all that was logged is on it, tubes are those of training, text is escaped, it stands alone."""

import io
import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch
import yaml

from preface_hf import PrefAceConfig
from preface_hf.data.opening import open_mixture
from preface_hf.data.streams import ViewStream
from preface_hf.objectives.base import saved_state
from preface_hf.objectives.collapse import self_distillation_terms
from preface_hf.objectives.preface import PrefAceObjectiveConfig, cache_neighbors
from preface_hf.pictures.curves import draw_curves, figure_of
from preface_hf.pictures.faces import nearest
from preface_hf.training.arguments import PretrainArguments, build
from preface_hf.training.gallery import tubes
from preface_hf.training.loop import pretrain
from preface_hf.training.report import WARNING, write_report
from tests.test_cli import refused


TERMS = self_distillation_terms(PrefAceConfig(num_prototypes=32, hidden_size=16, num_attention_heads=2))

pytestmark = pytest.mark.usefixtures("reports")


@pytest.fixture(scope="module")
def settings(prepared):
    return {
        "data": str(prepared), "size": "vit-t", "batch_size": 4, "max_steps": 3, "logging_steps": 2, "num_workers": 0,
        "probe_steps": 2, "probe_data": str(prepared), "probe_label": "expression", "probe_group": "identity",
        "keep_best": True, "views": {"num_local": 2},
        "model": {"image_size": 32, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 1,
                  "num_attention_heads": 2, "intermediate_size": 64, "num_prototypes": 32, "facefeat_size": 16},
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    """A run whose name would be markup."""
    folder = tmp_path_factory.mktemp("runs") / "<b>run & co"
    pretrain(build(PretrainArguments, {**settings, "output_dir": str(folder)}, "test"))
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def text_of(run):
    return (run / "report.html").read_text(encoding="utf-8")


def test_a_run_ends_with_a_report_that_stands_alone(finished):
    text = text_of(finished)
    assert WARNING in text[: text.index("<img")]
    assert "<b>run" not in text and "&lt;b&gt;run &amp; co" in text
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import|<script|<link', text)
    logged = {name for line in (finished / "metrics.jsonl").read_text().splitlines() for name in json.loads(line)}
    assert {"probe_knn", "kl", "seconds"} <= logged
    assert [name for name in logged - {"step", "epoch"} if f"<b>{name}</b>" not in text] == []
    assert all(
        f"<td>{name}</td>" in text for name in ("teacher_momentum", "shuffle_window", "patch_size", "num_local")
    )
    assert text.count("jpeg;base64") == 3 * (2 + 2 + 5) + 6 * (1 + 5), "tubes; instances and neighbors"
    assert "checkpoints/step-0000000" in text


def test_tubes_are_those_of_the_first_epoch(settings, prepared):
    arguments, data = build(PretrainArguments, settings, "test"), open_mixture(prepared)
    stream = ViewStream(data, arguments.parts().views, 12, arguments.seed)
    trained = {row["instance_id"]: stream.views(epoch, row) for epoch, row in next(stream.blocks())}
    shown = tubes(data, arguments, arguments.parts())
    assert len(shown) == 3
    for clip in shown:
        views = trained[int(clip.name.split(" · ")[0])]
        assert [name for name, _ in clip.strips] == views.names
        for number in (0, len(views.names) - 1):  # the first global tube, the last landmark tube
            pixels = torch.tensor(np.asarray(clip.strips[number][1])).unflatten(1, (4, -1)).permute(1, 3, 0, 2) / 255
            tube = [*views.global_tubes, *views.small_tubes][number] / 255
            color = views.colors[number]
            expected = torch.einsum("ij,tjhw->tihw", color[:, :3], tube) + color[:, 3, None, None]
            assert (pixels - expected.clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-5


def test_nearest_leave_the_instance_itself_out(finished, prepared):
    checkpoint = finished / "checkpoints/step-00000003"
    entries = saved_state(checkpoint)["cache.entries"].float()
    for faces in nearest(open_mixture(prepared), cache_neighbors(checkpoint, PrefAceObjectiveConfig())):
        first, *others = (int(face.name.split(" · ")[0]) for face in faces)
        assert len(set(others)) == 5 and first not in others
        cosines = entries[others] @ torch.nn.functional.normalize(entries[first], dim=0)
        assert [face.similarity for face in faces[1:]] == pytest.approx(cosines.tolist(), abs=1e-6)


def test_curves_draw_whatever_is_logged():
    rows = [{"step": step, "epoch": 0.1, "loss": 2.0, "brand_new": step} for step in (1, 2)] + [{"step": 3, "late": 1}]
    groups = draw_curves(rows, TERMS)
    curves = [(group, curve) for group, several in groups.items() for curve in several]
    assert [(group, curve.names, curve.last) for group, curve in curves] == [
        ("Losses", ("loss",), (2.0,)), ("Other", ("brand_new",), (2,)), ("Other", ("late",), (1,)),
    ]  # fmt: skip
    assert all(curve.picture.startswith(b"\x89PNG") for _, curve in curves)


def test_a_group_has_one_section_whatever_is_logged(finished):
    rows = [{"step": 1, "loss": 2.0, "loss_new": 1.0, "new": 1.0, "kl": 1.0, "seconds": 1.0, "loss_koleo": 0.1}]
    assert list(draw_curves(rows, TERMS)) == ["Losses", "Collapse watch", "Rates and time", "Other"]
    titles = re.findall("<h2>(.*?)</h2>", text_of(finished))
    assert "Losses" in titles and len(titles) == len(set(titles))


@pytest.mark.parametrize("values", [(0.00001234, 0.00001239), (-123456.5, 98765.25), (1e-9, 3e-9), (0.5, 0.5)])
def test_labels_of_a_picture_lie_inside_it(values):
    figure = figure_of({"a": list(enumerate(values)), "b": list(enumerate(values))}, ("ln K", values[0]))
    figure.savefig(io.BytesIO(), format="png")
    [axes] = figure.axes
    texts = [axes.xaxis.label, axes.yaxis.get_offset_text()]
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert len(boxes) > 4
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height


def test_a_set_that_was_moved_is_named(copied, prepared, drawn_videos):
    config = yaml.safe_load((copied / "config.yaml").read_text())
    (copied / "config.yaml").write_text(yaml.safe_dump({**config, "data": "gone"}))
    assert "jpeg" not in text_of(write_report(copied).parent)
    assert "None are shown: cannot open" in text_of(copied)
    assert "jpeg" in text_of(write_report(copied, str(prepared)).parent)
    with pytest.raises(ValueError, match="cannot open"):
        write_report(copied, str(drawn_videos))


def test_a_run_that_has_not_begun_has_a_report(copied):
    (copied / "metrics.jsonl").unlink()
    shutil.rmtree(copied / "checkpoints")
    text = text_of(write_report(copied).parent)
    assert "No step is logged yet." in text and "There is no checkpoint yet." in text


def test_without_matplotlib_it_is_said(copied, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install matplotlib" in text_of(write_report(copied).parent)


def test_a_folder_without_a_run_is_refused(capsys, tmp_path):
    assert "holds no run (no config.yaml)" in refused(capsys, "report", tmp_path)
