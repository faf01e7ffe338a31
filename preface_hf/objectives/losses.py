"""The terms of PrefAce's loss, and what a teacher's targets are, as pure functions.

Shapes at line ends: B clips, G teacher views, V student views, K prototypes, d width of the cache, N negatives.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import log_softmax, normalize


def teacher_distribution(logits: torch.Tensor, center: torch.Tensor, temperature: float) -> torch.Tensor:
    """softmax((logits - center) / temperature) over the last axis, float32, without gradient (DINO's centering)."""
    return ((logits.detach().float() - center) / temperature).softmax(dim=-1)


def sinkhorn_distribution(
    logits: torch.Tensor,
    temperature: float,
    gather: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor,
    iterations: int = 3,
) -> torch.Tensor:
    """exp(logits / temperature), scaled by Sinkhorn and Knopp's steps until every prototype is used about as much.

    Not stated by PrefAce, an alternative to centering (SwAV, DINOv2): all teacher views are scaled together, as in
    DINOv2.

    Args:
        logits: `(global views, batch, num_prototypes)`.
        temperature: of the teacher.
        gather: joins the rows of all processes, so that the sums are over the whole global batch.
        iterations: SwAV, DINOv2: 3.

    Returns:
        Distributions over the last axis, float32, without gradient.
    """
    # As logarithms: at a temperature of 0.04 exp(logits / t) overflows float32 from logits of 3.6 on.
    scaled = logits.detach().float() / temperature  # (G, B, K)
    for _ in range(iterations):
        # First over all views and clips of all processes, then over prototypes.
        used = scaled.flatten(0, 1).logsumexp(dim=0, keepdim=True)  # (1, K)
        scaled = scaled - gather(used).logsumexp(dim=0)
        scaled = scaled.log_softmax(dim=-1)
    return scaled.exp()


def entropy(distribution: torch.Tensor) -> torch.Tensor:
    """Entropy over the last axis, in nats."""
    return -(distribution * distribution.clamp(min=1e-12).log()).sum(dim=-1)


def mean_entropy(
    logits: torch.Tensor,
    temperature: float,
    gather: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor,
) -> torch.Tensor:
    """Entropy of the mean of softmax(logits / temperature) over views and clips of all processes: ln K where every
    prototype is used as much as the others.

    ProS: the form is not stated, chosen (MSN, Assran et al. 2022: "mean entropy maximization").

    Args:
        logits: `(views, batch, num_prototypes)`.
        temperature: of the student.
        gather: joins the rows of all processes; each has as many clips.
    """
    ours = (logits.float() / temperature).softmax(dim=-1).mean(dim=(0, 1))  # (K,)
    every = gather(ours.detach()[None].contiguous()).mean(dim=0)
    # The value of all processes with the gradient of this one: DDP takes the mean of the gradients.
    return entropy(ours + (every - ours).detach())


def distillation_loss(student_logits: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    """L_distill: cross-entropy of every student view against every teacher view that is another view.

    PrefAce: "multi-scale landmark-guided self-distillation"; the form is not stated, chosen (DINO, eq. 3).

    Args:
        student_logits: `(views, batch, num_prototypes)`; the first `len(targets)` are the student's global views.
        targets: `(global views, batch, num_prototypes)`, distributions of the teacher.
        temperature: of the student.

    Returns:
        `(views,)`: for every student view the mean over its teacher views and the batch. A global view has no pair
        if there is only one; it gives 0.
    """
    # for g in teacher views: for v in student views: if v != g: loss[v] += H(targets[g], softmax(student[v] / t))
    log_probabilities = log_softmax(student_logits.float() / temperature, dim=-1)  # (V, B, K)
    cross_entropy = -torch.einsum("gbk,vbk->gv", targets, log_probabilities) / targets.shape[1]  # (G, V)
    # 1 where a teacher's and a student's view make a pair; the same view seen by both is none.
    pairs = torch.ones_like(cross_entropy)
    pairs[:, : len(targets)].fill_diagonal_(0)
    return (cross_entropy * pairs).sum(dim=0) / pairs.sum(dim=0).clamp(min=1)


def instance_loss(
    features: torch.Tensor,
    instance_ids: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    negative_ids: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """L_ID: the student's views of instance i are pulled to the cache's entry M_i and pushed from other entries.

    PrefAce: "FaceFeat Cache"; the form is not stated, chosen (Wu et al. 2018, non-parametric softmax):

        -log( exp(z·M_i / t) / (exp(z·M_i / t) + sum over negatives j != i of exp(z·M_j / t)) )

    Args:
        features: unit vectors of the student, `(views, batch, facefeat_size)`.
        instance_ids: `(batch,)`.
        positives: the entries of these instances, `(batch, facefeat_size)`.
        negatives: entries to be pushed from, `(negatives, facefeat_size)`; an instance's own entry does not count.
        negative_ids: `(negatives,)`.
        temperature: of the softmax.

    Returns:
        `(views,)`: the mean over the batch.
    """
    features = features.float() / temperature
    pull = torch.einsum("vbd,bd->vb", features, positives.float())  # (V, B)
    push = torch.einsum("vbd,nd->vbn", features, negatives.float())  # (V, B, N)
    push = push.masked_fill_(instance_ids[:, None] == negative_ids, float("-inf"))  # its own entry is no negative
    # -log(p / (p + n)) as log(p + n) - log p, so that exp of a similarity over 0.07 is never formed.
    return (torch.logaddexp(pull, push.logsumexp(dim=-1)) - pull).mean(dim=1)


def koleo_loss(features: torch.Tensor) -> torch.Tensor:
    """KoLeo: -log of the distance of each clip's unit vector to its nearest neighbor, which spreads the clips.

    Not stated by PrefAce, an option (Sablayrolles et al. 2019; DINOv2: on the features before the head, view by view,
    so that the views of one clip are not pushed apart, among the clips of one process).

    Args:
        features: `(views, batch, hidden_size)`.

    Returns:
        `(views,)`: the mean over the batch; 0 for a single clip, which has no neighbor.
    """
    if features.shape[1] < 2:
        return features.new_zeros(len(features))
    features = normalize(features.float(), dim=-1)
    similarity = (features @ features.mT).detach()  # (V, B, B)
    # A cosine is -1 or more: at -2 no clip is its own nearest. The search has no gradient, the distance has.
    similarity.diagonal(dim1=1, dim2=2).fill_(-2)
    nearest = similarity.argmax(dim=-1)[..., None].expand_as(features)  # (V, B, d)
    return -((features - features.gather(1, nearest)).norm(dim=-1) + 1e-8).log().mean(dim=1)
