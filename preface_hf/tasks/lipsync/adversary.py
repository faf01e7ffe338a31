"""An adversary for the generator: it learns to tell drawn lower halves from true ones, patch by patch.

An option, for sharper teeth and lips; hinge loss (Lim and Ye 2017) on patches (Isola et al. 2017). Neither MARLIN nor
PrefAce states one for lip synchronization, chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import relu
from transformers import TrainerCallback


CHANNELS, RATE, BETAS = 32, 4e-4, (0.5, 0.9)
FILE = "adversary.pt"  # in a checkpoint


class Adversary(nn.Module):
    """Frames `(B, T, 3, S, S)`, of which it looks at the lower halves, to a score of each patch of some 22 pixels."""

    def __init__(self, seed: int):
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # the generator's own draws stay what they are without it
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Conv2d(3, CHANNELS, 4, 2, 1), nn.LeakyReLU(0.2),
                nn.Conv2d(CHANNELS, 2 * CHANNELS, 4, 2, 1), nn.LeakyReLU(0.2),
                nn.Conv2d(2 * CHANNELS, 1, 4, 1, 1),
            )  # fmt: skip
        self.optimizer = torch.optim.Adam(self.layers.parameters(), RATE, BETAS)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """High where a patch looks true."""
        lower = frames.flatten(0, 1)[..., frames.shape[-2] // 2 :, :]  # (B * T, 3, S / 2, S)
        with torch.autocast(frames.device.type, enabled=False):
            return self.layers(2 * lower.float() - 1)

    def learn(self, found: torch.Tensor, true: torch.Tensor) -> None:
        """One step of its own, on frames that the generator made and on true ones."""
        loss = relu(1 + self(found.detach())).mean() + relu(1 - self(true)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def loss(self, found: torch.Tensor) -> torch.Tensor:
        """What the generator is to lower: how drawn its frames look. The adversary learns nothing by it."""
        self.requires_grad_(False)
        loss = -self(found).mean()
        self.requires_grad_(True)
        return loss


class AdversaryFile(TrainerCallback):
    """Keeps the adversary beside each checkpoint of the generator, so that `--resume` gives the same bits."""

    def __init__(self, adversary: Adversary):
        self.adversary = adversary

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write it into the checkpoint that was just made."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        torch.save({"layers": self.adversary.layers.state_dict(),
                    "optimizer": self.adversary.optimizer.state_dict()}, folder / FILE)  # fmt: skip

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Go on from the checkpoint that the generator goes on from."""
        if state.global_step:
            saved = torch.load(Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE, weights_only=True)
            self.adversary.layers.load_state_dict(saved["layers"])
            self.adversary.optimizer.load_state_dict(saved["optimizer"])
