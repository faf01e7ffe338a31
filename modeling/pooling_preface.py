"""What a classifier sees of a clip: the mean token, layers side by side, a grid of places, or learned attention."""

import torch
from torch import nn

from .configuration_preface import PrefAceConfig


NUM_LAYERS = 4  # of "layers" (DINO's linear evaluation)
GRID = 3  # of "grid": rows and columns


class PrefAceDropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training a branch is left out for whole clips at random."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Of `(B, N, D)`, the same shape."""
        if not self.rate or not self.training:
            return hidden_states
        keep = 1 - self.rate
        drawn = torch.rand(len(hidden_states), 1, 1, device=hidden_states.device) < keep  # (B, 1, 1)
        # The rest is scaled: its mean over draws is what evaluation sees.
        return hidden_states * drawn.to(hidden_states.dtype) / keep


class PrefAcePooling(nn.Module):
    """The features `(B, width)` that the classifier takes, by `config.classifier_pooling`.

    mean: `pooler_output`. layers: the mean tokens of the last four layers side by side, each normed (DINO). grid:
    means over time and over each of 3x3 parts of the frame, side by side: on aligned faces a place is a part of the
    face.
    attentive: a learned query over all tokens (V-JEPA's attentive probe, with one block's attention alone).
    """

    def __init__(self, config: PrefAceConfig):
        super().__init__()
        self.config = config
        self.kind = config.classifier_pooling
        width = config.hidden_size
        if self.kind == "attentive":
            self.query = nn.Parameter(torch.empty(width))
            self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        layers = min(NUM_LAYERS, config.num_hidden_layers)
        self.width = {"layers": layers, "grid": GRID**2}.get(self.kind, 1) * width

    def forward(self, encoder, encoded, shape: tuple[int, ...]) -> torch.Tensor:
        """Of what `encoder` found in clips of `shape` `(B, T, C, H, W)`."""
        if self.kind == "mean":
            return encoded.pooler_output
        if self.kind == "layers":
            layers = encoded.hidden_states[-min(NUM_LAYERS, self.config.num_hidden_layers) :]
            return torch.cat([encoder.layernorm(layer).mean(dim=1) for layer in layers], dim=1)
        if self.kind == "grid":
            return self.parts(encoded.last_hidden_state, self.config.grid_of(shape))
        return self.attend(encoded.last_hidden_state)

    def parts(self, tokens: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
        """Tokens `(B, t*h*w, D)` to `(B, 9 D)`, row by row."""
        if tokens.shape[1] != grid[0] * grid[1] * grid[2]:
            raise ValueError(
                f"a classifier on a grid of tokens needs all {grid[0] * grid[1] * grid[2]}, not {tokens.shape[1]}: "
                f"leave bool_masked_pos out."
            )
        frame = tokens.unflatten(1, grid).mean(dim=1).permute(0, 3, 1, 2)  # (B, D, h, w)
        parts = nn.functional.adaptive_avg_pool2d(frame, GRID)  # (B, D, 3, 3)
        return parts.permute(0, 2, 3, 1).flatten(1)

    def attend(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens `(B, N, D)` to `(B, D)`."""
        heads = self.config.num_attention_heads
        key, value = (project(tokens).unflatten(-1, (heads, -1)) for project in (self.key, self.value))  # (B, N, A, d)
        query = self.query.unflatten(0, (heads, -1))  # (A, d)
        scores = torch.einsum("ad,bnad->ban", query, key) * query.shape[-1] ** -0.5
        return torch.einsum("ban,bnad->bad", scores.float().softmax(-1).to(value.dtype), value).flatten(1)
