"""Pretraining with Accelerate: build, step, log, save, resume."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed

from preface_hf.data.opening import open_mixture
from preface_hf.data.streams import Batch, PlainClips
from preface_hf.data.workers import cores_for_loading, loaded, loader
from preface_hf.files import building, packaged, writing_tensors
from preface_hf.modeling import PrefAceForPreTraining
from preface_hf.objectives.base import whole
from preface_hf.precision import AUTO
from preface_hf.training import Interrupted
from preface_hf.training.arguments import PretrainArguments, with_sections
from preface_hf.training.build import (
    build_accelerator,
    build_model,
    build_objective,
    build_processor,
    measured_precision,
    start_from,
)
from preface_hf.training.checkpoint import (
    checkpoint_name,
    claim_folder,
    describe,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
    save_published,
)
from preface_hf.training.guards import check_finite, window_warning
from preface_hf.training.log import Metrics, mean_logs, progress_bar
from preface_hf.training.optimizer import begin_moments, build_optimizer, set_schedules
from preface_hf.training.probing import is_best, open_probe
from preface_hf.training.report import try_report
from preface_hf.training.sharding import gather_model


# What asks a run to stop: Ctrl-C; SLURM, before a job's time is up; torchrun, when another process has ended.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def pretrain(arguments: PretrainArguments, *, resume: bool = False) -> Path:
    """Pretrain on a prepared set; returns the folder `final` that `AutoModel.from_pretrained` takes.

    Raises `ValueError` for settings or data that do not fit, [`Interrupted`] after Ctrl-C or SIGTERM.
    """
    return Pretraining(arguments, resume=resume).train()


class Pretraining:
    """One run: what it is made of, and its steps in order."""

    def __init__(self, arguments: PretrainArguments, *, resume: bool = False):
        arguments = replace(arguments)  # what is found out here is this run's
        if arguments.init_from:
            arguments.init_from = str(packaged(arguments.init_from))
        self.arguments, self.folder = arguments, Path(arguments.output_dir)
        self.parts = arguments.parts()
        # What can be refused is refused here, before the output folder is claimed or a file is written.
        data, self.probe = open_mixture(arguments.data), open_probe(arguments)
        if arguments.mixed_precision == AUTO:
            arguments.mixed_precision = measured_precision(arguments, self.parts, resume)
        resolved = with_sections(arguments, self.parts)  # with what the probe and the measurement have chosen
        self.accelerator = build_accelerator(arguments, self.parts)
        if self.probe:
            self.accelerator.print(
                f"probe: split {arguments.probe_split!r}, folds keep each {arguments.probe_group!r} together."
            )
        set_seed(arguments.seed)
        self.model = build_model(arguments, self.parts).to(self.accelerator.device)
        if self.accelerator.is_main_process:
            claim_folder(self.folder, resolved, describe(data), resume)
            self.accelerator.init_trackers(
                "preface-hf", {k: v for k, v in resolved.items() if isinstance(v, int | float | str)}
            )
        self.accelerator.wait_for_everyone()

        self.processor = build_processor(self.parts, self.model, arguments.init_from)
        self.objective = build_objective(
            arguments, self.parts, self.model, self.processor, data.num_rows, self.accelerator
        )
        optimizer = build_optimizer(self.model, arguments.learning_rate, arguments.layer_decay, arguments.adam_beta2)
        self.objective.student, self.optimizer = self.accelerator.prepare(self.model, optimizer)
        # After `prepare`: under FSDP2 the weights are shards now, and their moments have to be.
        begin_moments(self.optimizer.optimizer)

        self.data, self.step = data, 0
        # Clips of one forward pass of all processes, which are loaded together; below, those of an optimizer step.
        self.global_batch = arguments.batch_size * self.accelerator.num_processes
        if sentence := window_warning(self.global_batch, arguments.shuffle_window, data.num_rows):
            self.accelerator.print(sentence)
        self.global_batch *= arguments.gradient_accumulation_steps
        checkpoint = latest_checkpoint(self.folder / "checkpoints") if resume else None
        if checkpoint:
            self.step = load_checkpoint(self.accelerator, checkpoint, self.objective)
        elif start := arguments.init_from:
            self.accelerator.print(start_from(self.objective, self.model.config, start))
        self.metrics = Metrics(self.folder / "metrics.jsonl", self.step) if self.accelerator.is_main_process else None
        self.stopping = self.warned = False

    def train(self) -> Path:
        """Run to the last step and publish. Raises `ChildProcessError` where a loading process was killed; what whole
        steps have learned is saved before."""
        try:
            if self.objective.started < self.data.num_rows:
                self.start()
            self.run_steps()
        except ChildProcessError as error:
            raise ChildProcessError(f"{error}; {self.save_whole_steps()}") from error
        return self.publish()

    def run_steps(self) -> None:
        """Make the steps that are left."""
        # A signal sets a flag only, so that the step in progress ends and a checkpoint never holds half of one.
        previous = {number: signal.signal(number, self.stop) for number in STOP_SIGNALS}
        try:
            main = self.accelerator.is_main_process
            with (
                closing(self.batches()) as batches,
                progress_bar(main) as progress,
                cores_for_loading(self.arguments.num_workers),
            ):
                task = progress.add_task("pretrain", total=self.arguments.max_steps, completed=self.step, loss="")
                while self.step < self.arguments.max_steps:
                    logs = self.train_step(batches)
                    progress.show(task, self.step, logs["loss"])
                    self.after_train_step(logs)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            for tracker in self.accelerator.trackers:  # end_training() would also end the process group, for good
                tracker.finish()

    def save_whole_steps(self) -> str:
        """Write a checkpoint of the steps that were made, if there is none; returns a sentence that says so."""
        # What batches of a step that was not made have left: in the objective, and in the count that checkpoints hold.
        self.objective.skip_step()
        self.accelerator.step -= self.accelerator.step % self.arguments.gradient_accumulation_steps
        if not self.step:
            return "no step was made yet: start again with --resume."
        latest = latest_checkpoint(self.folder / "checkpoints")
        if latest is None or latest.name != checkpoint_name(self.step):
            self.save({}, best=False)
        return f"everything up to step {self.step} is saved: continue with --resume."

    def stop(self, *_: Any) -> None:
        """Stop after the step in progress (signal handler)."""
        self.stopping = True

    def batches(self) -> Generator[Batch, None, None]:
        """Batches of this process from the present step on, on its device."""
        arguments, accelerator = self.arguments, self.accelerator
        # `start` counts batches, of which an optimizer step takes `gradient_accumulation_steps`.
        stream = self.parts.method.stream(
            self.data,
            self.parts.views,
            arguments.batch_size,
            arguments.seed,
            start=self.step * arguments.gradient_accumulation_steps,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            window=arguments.shuffle_window,
        )
        return loaded(loader(stream, arguments.num_workers))

    def start(self) -> None:
        """What the objective needs of un-augmented clips before step 1."""
        accelerator, arguments = self.accelerator, self.arguments
        clips = PlainClips(
            self.data,
            self.parts.views,
            arguments.batch_size,
            accelerator.process_index,
            accelerator.num_processes,
            first=self.objective.started,
        )
        with (
            closing(loaded(loader(clips, arguments.num_workers))) as batches,
            accelerator.autocast(),
            cores_for_loading(arguments.num_workers),
        ):
            self.objective.start(batches)

    def train_step(self, batches: Iterator[Batch]) -> dict[str, float]:
        """One optimizer step over the accumulated batches; returns the means of what they logged."""
        started, logged = time.perf_counter(), []
        # Functions of the step: nothing of a scheduler has to be saved or restored.
        schedule = set_schedules(self.optimizer, self.arguments, self.step, self.global_batch)
        self.objective.watching = self.is_logged(self.step + 1)
        for _ in range(self.arguments.gradient_accumulation_steps):
            batch = self.next_batch(batches)
            # Until the last batch of a step Accelerate lets gradients add up on each process, and its optimizer's
            # `step` and `zero_grad` do nothing.
            with self.accelerator.accumulate(self.objective.student):
                with self.accelerator.autocast():
                    output = self.objective(batch, self.step)
                check_finite(self.accelerator, output, batch, self.step + 1, self.folder)
                self.accelerator.backward(output.loss)
                if self.accelerator.sync_gradients:
                    schedule["grad_norm"] = self.clip_gradients()
                self.optimizer.step()
                self.optimizer.zero_grad()
            logged.append({"loss": output.loss.detach(), **output.logs})
        if self.accelerator.optimizer_step_was_skipped:  # fp16: a gradient was too large for it
            self.objective.skip_step()
        else:
            self.objective.after_step(self.step, schedule["learning_rate"])
        self.step += 1
        return {**mean_logs(self.accelerator, logged), **schedule, "seconds": time.perf_counter() - started}

    def next_batch(self, batches: Iterator[Batch]) -> Batch:
        """A batch on the device. Raises `ChildProcessError` on every process where one has none, as the others would
        wait for it forever."""
        batch, problem = None, "a loading process of another training process was killed"
        try:
            batch = next(batches).to(self.accelerator.device)
        except ChildProcessError as error:
            problem = str(error)
        if not self.all_processes(batch is not None) or batch is None:
            raise ChildProcessError(problem)
        return batch

    def all_processes(self, good: bool) -> bool:
        """Whether `good` is true on every process."""
        flag = torch.tensor([float(good)], device=self.accelerator.device)
        return bool(self.accelerator.gather(flag).min())

    def clip_gradients(self) -> float:
        """Clip to `max_grad_norm`, let the objective have its say; returns the norm before."""
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.arguments.max_grad_norm)
        self.objective.before_step(self.step * self.global_batch / self.data.num_rows)
        return float(whole(norm))

    def after_train_step(self, logs: dict[str, float]) -> None:
        """Probe, log, save and stop where it is time to; raises `Interrupted` after a signal."""
        last = self.step == self.arguments.max_steps
        probed = self.run_probe() if self.is_probed(self.step) else {}
        if self.metrics and self.is_logged(self.step):
            self.log(self.metrics, {**logs, **probed})
        # A signal may reach one process only: all ask each other, and stop after the same step.
        stopping, best = not self.all_processes(not self.stopping), self.is_best(probed)
        if self.step % self.arguments.save_steps == 0 or last or stopping or best:
            self.save(probed, best)
        if stopping and not last:
            self.report()
            raise Interrupted(f"stopped after step {self.step}; go on with --resume.")

    def log(self, metrics: Metrics, logs: dict[str, float]) -> None:
        """A row of `metrics.jsonl` and of the trackers, on the main process; a warning where it shows a collapse."""
        epoch = self.step * self.global_batch / self.data.num_rows
        metrics.write({"step": self.step, "epoch": epoch, **logs})
        self.accelerator.log({"epoch": epoch, **logs}, step=self.step)
        self.warn_of_collapse(logs)

    def is_best(self, probed: dict[str, float]) -> bool:
        """Whether this step's probe is the best so far, where the best is kept."""
        due = self.arguments.keep_best and self.is_probed(self.step)
        return due and is_best(self.accelerator, self.folder / "checkpoints", probed)

    def save(self, probed: dict[str, float], best: bool) -> None:
        """Write a checkpoint; the best one holds what was probed, where that is not the student."""
        arguments, folder = self.arguments, self.folder / "checkpoints"
        other = self.objective.published_model(str(arguments.publish)) if best else None
        save_checkpoint(
            self.accelerator, folder, self.step, self.unwrap_student(), self.objective, self.processor,
            describe(self.data), arguments.keep_checkpoints, arguments.keep_best, probed.get("probe_knn"),
            {str(arguments.publish): other} if other else None,
        )  # fmt: skip

    def is_probed(self, step: int) -> bool:
        """Whether the probe is due after `step` steps."""
        return self.probe is not None and (step % self.arguments.probe_steps == 0 or step == self.arguments.max_steps)

    def is_logged(self, step: int) -> bool:
        """Whether the log has a row of `step`."""
        due = step % self.arguments.logging_steps == 0 or step in (1, self.arguments.max_steps)
        return due or self.is_probed(step)

    def run_probe(self) -> dict[str, float]:
        """What the probe says of the model to be published, on the main process; the others wait."""
        # To gather a sharded model takes every process; to probe it the main one is enough.
        model, logs, problem = self.published_model(), {}, ""
        if self.probe and self.accelerator.is_main_process:
            try:
                logs = self.probe.logs(model, self.processor)
            except Exception as error:  # whatever it is, the others must hear of it
                problem = " ".join(str(error).split()) or type(error).__name__
        # All end where the probe could not be made: one that ended alone would leave the others waiting.
        if not self.all_processes(not problem):
            raise ValueError(problem or "the probe failed on the main process, which says why.")
        return logs

    def warn_of_collapse(self, logs: dict[str, float]) -> None:
        """Say once, after the warm-up, that the loss is where a collapse leaves it."""
        sentence = self.objective.warning(logs)
        if sentence and not self.warned and self.step > self.arguments.warmup_steps:
            self.warned = True
            print(f"step {self.step}: {sentence}", flush=True)

    def unwrap_student(self) -> PrefAceForPreTraining:
        """The student without what Accelerate put around it."""
        return self.accelerator.unwrap_model(self.objective.student, keep_torch_compile=False)

    def published_model(self) -> PrefAceForPreTraining:
        """The model that `final/` will hold, whole on the main process; every process must ask for it."""
        other = self.objective.published_model(str(self.arguments.publish))
        return gather_model(self.accelerator, self.unwrap_student()) if other is None else other

    def publish(self) -> Path:
        """Write `final/` and the report; returns the folder `final`."""
        final, model = self.folder / "final", self.published_model()
        if self.accelerator.is_main_process:
            with building(final) as folder, writing_tensors(final):
                save_published(folder, model, self.processor)
        self.report()
        return final

    def report(self) -> None:
        """Write `report.html`; the other processes wait, as their end might be taken for that of the run."""
        if self.accelerator.is_main_process:
            try_report(self.folder, self.data)
        self.accelerator.wait_for_everyone()
